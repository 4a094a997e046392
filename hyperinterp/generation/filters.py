"""Penalties and cuts of the vocabulary, each on its own rows: transformers' own, and blocking.

The one that blocks copying waits for the device: its n-grams lie on the CPU. So does transformers'
ban of repeated n-grams.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import (
    MinPLogitsWarper,
    NoRepeatNGramLogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
    TopPLogitsWarper,
)

from hyperinterp.generation.decoding import Decoding
from hyperinterp.generation.rowwise import Rows, parts
from probes import NgramIndex
from probes.ranks.tokens import top1_rows

Filter = Callable[[Any, Any], Tensor]
"""From the ids so far, `[row position]`, and logits, `[row vocab]`, to logits."""


def _blocking(index: NgramIndex) -> Filter:
    """Rule out the likeliest token for as long as it would complete one of some n-grams."""

    def block(ids: Tensor, scores: Tensor) -> Tensor:
        width, scores = index.n - 1, scores.clone()
        for row, written in enumerate(ids.tolist() if ids.shape[1] >= width else []):
            before = written[len(written) - width :]
            best = int(top1_rows(scores[row]))
            while bool(index.contains([*before, best]).any()):
                scores[row, best] = float("-inf")
                best = int(top1_rows(scores[row]))
        return scores

    return block


# In the order of transformers' `generate`: these change logits, then the temperature divides ...
_PENALTIES: dict[str, Callable[[Any], Filter]] = {
    "repetition_penalty": RepetitionPenaltyLogitsProcessor,
    "no_repeat": NoRepeatNGramLogitsProcessor,
    "blocked": _blocking,
}
# ... and these rule tokens out by the probabilities at that temperature.
_CUTS: dict[str, Callable[[Any], Filter]] = {
    "top_p": TopPLogitsWarper,
    "min_p": MinPLogitsWarper,
}


class Filters:
    """The filters of a batch's arms beside bias and temperature.

    Args:
        decodings: the arm of every row.
    """

    def __init__(self, decodings: Sequence[Decoding]) -> None:
        self._temperatures = torch.tensor([arm.temperature for arm in decodings])
        self._rows: dict[tuple[str, Any], list[int]] = defaultdict(list)
        for name in (*_PENALTIES, *_CUTS):
            for row, arm in enumerate(decodings):
                if getattr(arm, name) is not None:
                    self._rows[name, getattr(arm, name)].append(row)
        self._placed: list[tuple[bool, Filter, Rows]] | None = None

    def apply(self, ids: Int[Tensor, "row position"], scores: Float[Tensor, "row vocab"]) -> None:
        """Change the scores in place; a token that is ruled out has minus infinity.

        Args:
            ids: all ids so far.
            scores: logits before any temperature.
        """
        if self._placed is None:
            self._temperatures = self._temperatures.to(scores)
            self._placed = [
                (name in _CUTS, (_PENALTIES | _CUTS)[name](value), part)
                for (name, value), rows in self._rows.items()
                for part, _ in parts(rows, scores)
            ]
        for cuts, change, rows in self._placed:
            if cuts:  # what is left keeps its logits: the temperature comes later
                left = change(ids[rows], scores[rows] / self._temperatures[rows, None])
                scores[rows] = scores[rows].masked_fill(left.isneginf(), float("-inf"))
            else:
                scores[rows] = change(ids[rows], scores[rows])
