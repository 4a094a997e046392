"""Draws of the next token: by inversion, each row from numbers of its own."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from hyperinterp.generation.decoding import Decoding
from hyperinterp.generation.rowwise import Rows, parts

_BLOCK = 256
"""Neighbouring ids that are added up before one of them is looked for."""


class Draws:
    """One draw per step for every row of a sampled arm; all its random numbers are drawn ahead.

    They are drawn on the CPU by a generator that depends on the arm's seed and the prompt's number
    alone, so that neither the device nor the other rows change them.

    Args:
        decodings: the arm of every row.
        prompts: the number of every row's prompt.
        steps: most tokens drawn per row.
    """

    def __init__(self, decodings: Sequence[Decoding], prompts: Sequence[int], steps: int) -> None:
        own = [
            (row, arm, prompt)
            for row, (arm, prompt) in enumerate(zip(decodings, prompts, strict=True))
            if arm.seed is not None
        ]
        self._rows = [row for row, _, _ in own]
        self._temperatures = torch.tensor([arm.temperature for _, arm, _ in own])
        self._uniforms = torch.zeros(0, steps, dtype=torch.float64)
        if own:
            self._uniforms = torch.stack(
                [_uniforms(arm.seed or 0, prompt, steps) for _, arm, prompt in own]
            )
        self._placed: tuple[list[tuple[Rows, slice]], Tensor] | None = None

    def choose(
        self, step: int, scores: Float[Tensor, "row vocab"], tokens: Int[Tensor, " row"]
    ) -> None:
        """Put the drawn tokens of a step in their places.

        Args:
            step: number of the step.
            scores: logits before the rows' temperatures; minus infinity is never drawn.
            tokens: changed in place, at the rows of sampled arms.
        """
        if not self._rows:
            return
        if self._placed is None:
            device = scores.device
            self._temperatures = self._temperatures.to(device, scores.dtype)
            self._uniforms = self._uniforms.to(device)
            self._placed = parts(self._rows, scores), torch.tensor(self._rows, device=device)
        pieces, rows = self._placed
        drawn = [
            inverted(scores[part], self._temperatures[own], self._uniforms[own, step])
            for part, own in pieces
        ]
        tokens[rows] = torch.cat(drawn)


def inverted(
    logits: Float[Tensor, "row vocab"],
    temperatures: Float[Tensor, " row"],
    uniforms: Float[Tensor, " row"],
) -> Int[Tensor, " row"]:
    """Return where each row's cumulative softmax(logits / T) passes a number in [0, 1)."""
    weights = logits - logits.amax(-1, keepdim=True)
    weights.div_(temperatures[:, None]).exp_()
    width = weights.shape[-1]
    padded = torch.nn.functional.pad(weights, (0, -width % _BLOCK)).unflatten(-1, (-1, _BLOCK))
    sums = padded.sum(-1).double().cumsum(-1)
    wanted = uniforms[:, None] * sums[:, -1:]
    block = _passed(sums, wanted)
    before = torch.nn.functional.pad(sums, (1, 0)).gather(1, block)
    rows = torch.arange(len(logits), device=logits.device)
    inside = padded[rows, block[:, 0]].double().cumsum(-1)
    return (block * _BLOCK + _passed(inside, wanted - before))[:, 0]


def _passed(
    cumulative: Float[Tensor, "row n"], wanted: Float[Tensor, "row 1"]
) -> Int[Tensor, "row 1"]:
    """First place above what is wanted; where rounding leaves none, the last that adds anything."""
    last = torch.searchsorted(cumulative, cumulative[:, -1:].contiguous())
    found = torch.searchsorted(cumulative, wanted, right=True).minimum(last)
    return found.clamp_max(cumulative.shape[-1] - 1)  # of NaN, which is refused when seen


def _uniforms(seed: int, prompt: int, count: int) -> Float[Tensor, " count"]:
    generator = torch.Generator().manual_seed((seed * 1_000_003 + prompt) % (2**63))
    return torch.rand(count, generator=generator, dtype=torch.float64)
