"""Slices over rows of logits that are worked on at once: few on a CPU, whose cache is small."""

from collections.abc import Iterator

import torch

_CPU_BYTES = 1 << 22
_DEVICE_BYTES = 1 << 28


def row_slices(rows: int, width: int, device: torch.device, itemsize: int = 8) -> Iterator[slice]:
    """Slices over `rows` so that a chunk of `width` columns stays small (in cache on a CPU).

    Args:
        rows: how many there are.
        width: entries of a row.
        device: where the rows are.
        itemsize: bytes of an entry as it is computed with; 8 in float64.
    """
    budget = (_CPU_BYTES if device.type == "cpu" else _DEVICE_BYTES) // itemsize
    step = max(1, budget // max(1, width))
    for start in range(0, rows, step):
        yield slice(start, min(rows, start + step))
