"""Logits that are too large to keep, read in chunks as often as needed."""

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor

from probes._foreign import Array, real, widen
from probes.slices import row_slices

Chunks = Callable[[], Iterable[Array]]
"""A function that, each time it is called, yields the same logits in chunks [n_i v]."""


class RowStream:
    """Logits as a stream of float64 row chunks, whether they are resident or made on demand."""

    def __init__(self, logits: Array | Chunks):
        self.resident = None if callable(logits) else real(logits, "logits")
        self.make = logits if callable(logits) else None
        self.count: int | None = None
        self.lead: tuple[int, ...] | None = None
        if self.resident is not None:
            self.lead = tuple(self.resident.shape[:-1])
            self.resident = self.resident.reshape(-1, self.resident.shape[-1])

    def _big_chunks(self) -> Iterator[Tensor]:
        if self.resident is not None:
            yield self.resident
            return
        assert self.make is not None
        for chunk in self.make():
            yield real(chunk, "logits", ndim=2, axes="[n v]")

    def __call__(self, active: Tensor | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (row numbers, float64 logits [rows v]), only of the rows that `active` marks."""
        start, width = 0, None
        for big in self._big_chunks():
            width = width or big.shape[1]
            if big.shape[1] != width:
                raise ValueError(
                    f"logits: expected chunks of {width} columns, found {big.shape[1]}"
                )
            keep = torch.arange(big.shape[0], device=big.device)
            if active is not None:
                if start + len(keep) > len(active):
                    raise ValueError(f"logits: expected {len(active)} rows in each pass, not more")
                keep = keep[active[start : start + len(keep)].to(big.device)]
            for rows in row_slices(len(keep), width, big.device):
                chunk = widen(big[keep[rows]], "logits")
                yield (keep[rows] + start).cpu(), chunk
            start += big.shape[0]
        if start == 0:
            raise ValueError("logits: expected at least one context, found none")
        if self.count is not None and start != self.count:
            raise ValueError(f"logits: expected {self.count} rows in each pass, found {start}")
        self.count = start
