"""Rows that are read before the others, and whose moments are kept apart."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from hyperinterp.capture.accumulators import SiteAccumulators, below
from hyperinterp.distributed import Processes
from hyperinterp.sites import Site
from hyperinterp.text import TokenRows, TokenStream
from probes import Moments


@dataclass(frozen=True)
class Half:
    """Rows that are read before the others, and where their moments are kept apart.

    Attributes:
        numbers: of the rows.
        sites: where; on the stream.
    """

    numbers: Sequence[int]
    sites: Sequence[Site]


Batch = tuple[bool, list[int], Tensor]
"""Whether its rows are of the half that is read first, their numbers, and their ids."""


def ordered(
    rows: TokenRows | TokenStream, size: int, early: Sequence[int] | None
) -> Iterator[Batch]:
    """The batches of some rows: the early ones first, and none of them with other rows.

    Args:
        rows: the rows.
        size: most rows of a batch.
        early: numbers of the rows that are read first; None for no order. A stream has none.
    """
    if early is None or not isinstance(rows, TokenRows):
        return ((False, numbers, ids) for numbers, ids in rows.batches(size))
    first = set(early)
    parts = {True: sorted(first), False: [n for n in range(len(rows)) if n not in first]}
    return ((key, *it) for key, part in parts.items() for it in rows.batches(size, part))


class Apart:
    """Keeps the moments of the rows that are read first."""

    def __init__(
        self, half: Half | None, accumulators: Mapping[Site, SiteAccumulators], processes: Processes
    ) -> None:
        self._half = half
        self._accumulators = accumulators
        self._processes = processes
        self._kept: dict[Site, dict[str, Tensor]] | None = None

    def keep(self) -> None:
        """Copy what has been added up by now; the first time only."""
        if self._half is None or self._kept is not None:
            return
        self._kept = {
            site: {
                f"{role}/{name}": tensor.to("cpu", copy=True)
                for role, moments in self._accumulators[site].moments.items()
                if role in ("base", "fitted")
                for name, tensor in moments.state().items()
            }
            for site in self._half.sites
        }

    def everywhere(self) -> dict[Site, dict[str, Moments]]:
        """The moments over all processes, on all of them; none where none were asked for."""
        found: dict[Site, dict[str, Moments]] = {}
        for site, mine in (self._kept or {}).items():
            parts = self._processes.tensors_everywhere(mine)
            found[site] = {}
            for role in ("base", "fitted"):
                own = (below(part, role) for part in parts)  # empty: no row came this way
                for state in filter(None, own):
                    mine = Moments.from_state(state)
                    known = found[site].setdefault(role, mine)
                    if known is not mine:
                        known.merge(mine)
        return found
