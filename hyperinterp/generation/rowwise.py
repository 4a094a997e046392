"""Rows of a step's logits that are worked on together."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

Rows = slice | Tensor
"""Rows of the scores: a view where they follow one another, else their numbers."""


def where(rows: Sequence[int]) -> Rows:
    """Return ascending numbers of rows as a slice where nothing lies between them."""
    if rows and rows[-1] - rows[0] + 1 == len(rows):
        return slice(rows[0], rows[-1] + 1)
    return torch.tensor(list(rows), dtype=torch.long)


def moved(rows: Rows, count: int) -> Rows:
    """Return the same rows behind so many others."""
    if isinstance(rows, slice):
        return slice(rows.start + count, rows.stop + count)
    return rows + count


def parts(rows: Sequence[int], scores: Float[Tensor, "row vocab"]) -> list[tuple[Rows, slice]]:
    """Return ascending rows in parts that are worked on at once.

    They are few on a CPU, whose cache is small.

    Args:
        rows: numbers of rows of the scores.
        scores: a step's logits.

    Returns:
        Per part, its rows in the scores, and its places among `rows`.
    """
    budget = 1 << (18 if scores.device.type == "cpu" else 25)
    size = max(1, budget // scores.shape[-1])
    found: list[tuple[Rows, slice]] = []
    for start in range(0, len(rows), size):
        part = where(rows[start : start + size])
        placed = part if isinstance(part, slice) else part.to(scores.device)
        found.append((placed, slice(start, min(start + size, len(rows)))))
    return found
