"""Penalties and cuts of the vocabulary, by transformers' own processors, each on its own rows."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import cast

import torch
from jaxtyping import Float, Int
from torch import LongTensor, Tensor
from transformers import (
    LogitsProcessor,
    MinPLogitsWarper,
    NoRepeatNGramLogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
    TopPLogitsWarper,
)

from hyperinterp.generation.decoding import Decoding

# In the order of `generate`: these change logits, then the temperature divides them ...
_PENALTIES: dict[str, Callable[..., LogitsProcessor]] = {
    "repetition_penalty": RepetitionPenaltyLogitsProcessor,
    "no_repeat": NoRepeatNGramLogitsProcessor,
}
# ... and these rule tokens out by the probabilities at that temperature.
_CUTS: dict[str, Callable[..., LogitsProcessor]] = {
    "top_p": TopPLogitsWarper,
    "min_p": MinPLogitsWarper,
}


class Filters:
    """The filters of a batch's arms beside bias and temperature.

    Args:
        decodings: the arm of every row.
    """

    def __init__(self, decodings: Sequence[Decoding]) -> None:
        self._penalties = _grouped(decodings, _PENALTIES)
        self._cuts = _grouped(decodings, _CUTS)
        self._temperatures = [arm.temperature for arm in decodings]

    def apply(self, ids: Int[Tensor, "row position"], scores: Float[Tensor, "row vocab"]) -> None:
        """Change the scores in place; a token that is ruled out has minus infinity.

        Args:
            ids: all ids so far.
            scores: logits before any temperature.
        """
        for rows, process in self._penalties:
            scores[rows] = process(cast(LongTensor, ids[rows]), scores[rows])
        for rows, process in self._cuts:
            scale = torch.tensor([self._temperatures[row] for row in rows]).to(scores)
            kept = process(cast(LongTensor, ids[rows]), scores[rows] / scale[:, None])
            scores[rows] = scores[rows].masked_fill(torch.isneginf(kept), float("-inf"))


def _grouped(
    decodings: Sequence[Decoding], kinds: dict[str, Callable[..., LogitsProcessor]]
) -> list[tuple[list[int], LogitsProcessor]]:
    """Numbers of the rows that share a processor, and the processor."""
    rows: dict[tuple[str, float], list[int]] = defaultdict(list)
    for name in kinds:
        for row, arm in enumerate(decodings):
            value = getattr(arm, name)
            if value is not None:
                rows[name, value].append(row)
    return [(numbers, kinds[name](value)) for (name, value), numbers in rows.items()]
