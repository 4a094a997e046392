"""Rows of a step's logits that are worked on together."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

Rows = slice | Tensor
"""Rows of the scores: a view where they follow one another, else their numbers."""


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
        part = rows[start : start + size]
        together = part[-1] - part[0] + 1 == len(part)
        where = slice(part[0], part[-1] + 1) if together else torch.tensor(part).to(scores.device)
        found.append((where, slice(start, start + len(part))))
    return found
