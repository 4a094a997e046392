"""Penalties and cuts of the vocabulary, each on its own rows.

None waits for the device, but for the one that blocks copying: its n-grams lie on the CPU.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from hyperinterp.generation.decoding import Decoding
from hyperinterp.generation.rowwise import Rows, parts
from probes import NgramIndex
from probes.ranks.tokens import top1_rows

_LIKELIEST = 1024
"""Tokens that are sorted first: mostly they hold all that top-p asks for."""


def _penalise(ids: Tensor, scores: Tensor, penalty: float) -> Tensor:
    """Divide positive logits of tokens that occurred, multiply negative ones."""
    seen = scores.gather(1, ids)
    return scores.scatter(1, ids, torch.where(seen < 0, seen * penalty, seen / penalty))


def _ban_repeats(ids: Tensor, scores: Tensor, length: int) -> Tensor:
    """Rule out every token that would end an n-gram of this length a second time."""
    if ids.shape[1] < length:
        return scores
    grams = ids.unfold(1, length, 1)
    repeated = (grams[..., :-1] == ids[:, None, ids.shape[1] - length + 1 :]).all(-1)
    ends = grams[..., -1]
    left = scores.gather(1, ends).masked_fill(repeated, float("-inf"))
    return scores.scatter_reduce(1, ends, left, "amin")


def _block(ids: Tensor, scores: Tensor, index: NgramIndex) -> Tensor:
    """Rule out the likeliest token for as long as it would complete one of some n-grams."""
    width, scores = index.n - 1, scores.clone()
    for row, written in enumerate(ids.tolist() if ids.shape[1] >= width else []):
        before = written[len(written) - width :]
        best = int(top1_rows(scores[row]))
        while bool(index.contains([*before, best]).any()):
            scores[row, best] = float("-inf")
            best = int(top1_rows(scores[row]))
    return scores


def _cut_to_nucleus(logits: Tensor, share: float) -> Tensor:
    """Mark the tokens outside the likeliest ones that together have this share."""
    weights = (logits - logits.amax(-1, keepdim=True)).exp()
    wanted = share * weights.sum(-1, keepdim=True, dtype=torch.float64)
    count = weights.shape[-1]
    if weights.device.type == "cpu" and count > _LIKELIEST:
        likeliest = weights.topk(_LIKELIEST).values
        if bool((likeliest.sum(-1, keepdim=True, dtype=torch.float64) >= wanted).all()):
            return weights < _least_kept(likeliest, wanted)
    return weights < _least_kept(weights.sort(descending=True).values, wanted)


def _least_kept(falling: Float[Tensor, "row n"], wanted: Float[Tensor, "row 1"]) -> Tensor:
    """The weight at which the sum of the largest ones reaches what is wanted."""
    largest = falling.double().cumsum(-1)
    last = torch.searchsorted(largest, wanted).clamp_max(falling.shape[-1] - 1)
    return falling.gather(1, last)


def _cut_unlikely(logits: Tensor, share: float) -> Tensor:
    """Mark the tokens with less than this share of the largest probability."""
    return logits < logits.amax(-1, keepdim=True) + math.log(share)


# In the order of transformers' `generate`: these change logits, then the temperature divides ...
_PENALTIES: dict[str, Callable[[Tensor, Tensor, Any], Tensor]] = {
    "repetition_penalty": _penalise,
    "no_repeat": _ban_repeats,
    "blocked": _block,
}
# ... and these rule tokens out by the probabilities at that temperature.
_CUTS: dict[str, Callable[[Tensor, float], Tensor]] = {
    "top_p": _cut_to_nucleus,
    "min_p": _cut_unlikely,
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
        self._placed: list[tuple[str, Any, Rows]] | None = None

    def apply(self, ids: Int[Tensor, "row position"], scores: Float[Tensor, "row vocab"]) -> None:
        """Change the scores in place; a token that is ruled out has minus infinity.

        Args:
            ids: all ids so far.
            scores: logits before any temperature.
        """
        if self._placed is None:
            self._temperatures = self._temperatures.to(scores)
            self._placed = [
                (name, value, part)
                for (name, value), rows in self._rows.items()
                for part, _ in parts(rows, scores)
            ]
        for name, value, rows in self._placed:
            if name in _PENALTIES:
                scores[rows] = _PENALTIES[name](ids[rows], scores[rows], value)
            else:
                cut = _CUTS[name](scores[rows] / self._temperatures[rows, None], value)
                scores[rows] = scores[rows].masked_fill(cut, float("-inf"))
