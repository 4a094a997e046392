"""Rows of which a site has few: kept as they are while that takes less room than their sums."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from probes import Moments


class FewRows:
    """Moments of few rows, made when they are asked for.

    Rows of position 0 and norm outliers are a small share of a text. Their moments would be one
    `[d d]` more for each; the rows themselves are smaller, until there are many: then they are
    added up, and what comes after is added at once. The moments are the same to the last bit
    either way, since the same batches are added in the same order.

    Args:
        d_model: width of a row.
    """

    def __init__(self, d_model: int) -> None:
        self.n = 0
        self._width = d_model
        self._groups: list[tuple[Tensor | None, list[Tensor]]] = [(None, [])]
        self._summed: Moments | None = None

    def refer(self, shift: Float[Tensor, " d"]) -> None:
        """Begin with this reference, before the first rows."""
        self._groups[0] = (shift, [])

    def add(self, rows: Float[Tensor, "n d"]) -> None:
        """Take in one batch of rows, whose tensor the caller does not go on with."""
        self.n += len(rows)
        if self._summed is not None:
            _added(self._summed, rows)
            return
        batches = self._groups[0][1]
        batches.append(rows)
        if sum(batch.nbytes for batch in batches) > 8 * self._width**2:
            self._summed = self.moments()
            self._groups = [(None, [])]

    def moments(self) -> Moments:
        """The moments of all rows; the accumulator's own where they were added up before."""
        if self._summed is not None:
            return self._summed
        filled = [group for group in self._groups if group[1]]
        first, *others = (self._moments(*group) for group in filled or self._groups[:1])
        for other in others:
            first.merge(other)
        return first

    def _moments(self, shift: Tensor | None, batches: list[Tensor]) -> Moments:
        found = Moments(self._width, device=batches[0].device if batches else None)
        if shift is not None:
            found.rebase(shift)
        for batch in batches:
            _added(found, batch)
        return found

    def merge(self, other: "FewRows") -> None:
        """Take in the rows of another process."""
        self.n += other.n
        if self._summed is None and other._summed is None:
            self._groups += other._groups
            return
        self._summed = self.moments().merge(other.moments())
        self._groups = [(None, [])]

    def state(self) -> dict[str, Tensor]:
        """Plain tensors that hold everything."""
        if self._summed is not None or len(self._groups) > 1:
            return self.moments().state()
        shift, batches = self._groups[0]
        found = {
            "rows": torch.cat(batches) if batches else torch.zeros(0, self._width),
            "sizes": torch.tensor([len(batch) for batch in batches], dtype=torch.int64),
        }
        return found if shift is None else found | {"shift": shift}

    @staticmethod
    def from_state(state: Mapping[str, Tensor], d_model: int) -> "FewRows":
        """The rows that `state()` came from."""
        found = FewRows(d_model)
        if "rows" not in state:
            found._summed = Moments.from_state(state)
            found.n = found._summed.n
            return found
        batches = list(state["rows"].split(state["sizes"].tolist())) if len(state["rows"]) else []
        found._groups = [(state.get("shift"), batches)]
        found.n = len(state["rows"])
        return found


def _added(moments: Moments, rows: Tensor) -> None:
    moments.add(rows)
    moments.flush()
