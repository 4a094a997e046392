"""Activations of one pass, kept to be read again where that takes less room than their sums."""

from collections.abc import Iterator

from torch import Tensor

from hyperinterp.sites import Site

Batch = tuple[list[int], Tensor, Tensor]
"""Row numbers, and what base and fitted model have there, `[batch, position, d_model]`."""


class Spool:
    """Both models' activations at some sites, batch by batch, in the models' own dtypes.

    They are the very tensors of the pass: sums and intervals made from them are those that come
    from reading the text again, to the last bit.
    """

    def __init__(self) -> None:
        self._held: dict[Site, list[Batch]] = {}

    def add(self, site: Site, numbers: list[int], mine: Tensor, theirs: Tensor) -> None:
        """Keep one batch of one site."""
        self._held.setdefault(site, []).append((numbers, mine, theirs))

    def batches(self, site: Site) -> Iterator[Batch]:
        """The batches of one site, in the order in which they were read."""
        return iter(self._held.get(site, ()))

    def role(self, site: Site, role: str) -> Iterator[tuple[list[int], Tensor]]:
        """The same of one model, "base" or "fitted"."""
        for numbers, mine, theirs in self.batches(site):
            yield numbers, mine if role == "base" else theirs

    def drop(self, site: Site) -> None:
        """Forget a site."""
        self._held.pop(site, None)
