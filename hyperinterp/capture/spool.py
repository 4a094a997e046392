"""Activations of one pass, kept to be read again where that takes less room than their sums."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import zip_longest

import torch
from torch import Tensor

from hyperinterp.distributed import Processes
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

    def dealt(
        self, processes: Processes, sites: Sequence[Site], device: torch.device
    ) -> list[Site]:
        """Hand other processes' sites over to them, and take in what they have of one's own.

        Each site then has all its batches, in the order in which one process alone reads them, in
        one process.

        Args:
            processes: those that share the batches.
            sites: all sites.
            device: where the activations are to lie.

        Returns:
            The sites of this process.
        """
        if processes.size == 1:
            return list(sites)
        mine = list(processes.share(sites))
        own = [partial(self._tensors, site) for site in sites]
        parts = processes.tensors_dealt(own, lambda number: self.drop(sites[number]))
        for site, part in zip(mine, parts, strict=True):
            ranks = [list(_batches(tensors, device)) for tensors in part]
            turns = zip_longest(*ranks)  # batch k was read by process k modulo their number
            self._held[site] = [batch for turn in turns for batch in turn if batch is not None]
        return mine

    def _tensors(self, site: Site) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        for number, (rows, mine, theirs) in enumerate(self.batches(site)):
            found |= {f"{number}/rows": torch.tensor(rows), f"{number}/base": mine}
            found[f"{number}/fitted"] = theirs
        return found


def _batches(tensors: Mapping[str, Tensor], device: torch.device) -> Iterator[Batch]:
    for number in range(len(tensors) // 3):
        mine, theirs = (tensors[f"{number}/{role}"].to(device) for role in ("base", "fitted"))
        yield tensors[f"{number}/rows"].tolist(), mine, theirs
