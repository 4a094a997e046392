"""The temperatures at which a step's logits have given entropies, in few cheap passes."""

import torch
from jaxtyping import Float
from torch import Tensor

from hyperinterp.generation.rowwise import parts

_PASSES = 24
_STEP = 3.0
_WITHIN = 1e-6
"""Relative distance from the wanted entropy: what sums of float32 weights can tell."""
_BOUNDS = -13.8, 13.8
"""Of log T: temperatures of 1e-6 to 1e6."""
_NOWHERE = -1e30
"""A shifted logit whose weight is 0 at every temperature."""


def entropies(logits: Float[Tensor, "row vocab"]) -> Float[Tensor, " row"]:
    """Return the entropy of softmax(logits) per row, in nats, in float64."""
    return _entropy_and_slope(_others(logits), logits.new_ones(len(logits)))[0]


def temperatures_at(
    logits: Float[Tensor, "row vocab"], wanted: Float[Tensor, " row"]
) -> Float[Tensor, " row"]:
    """Return per row the temperature T at which softmax(logits / T) has an entropy.

    Newton steps for log H in log T, bisected where one leaves the bracket: entropy never falls as
    T grows. `probes.matched_temperature` solves the same in float64, to a tolerance; a step of
    decoding needs no more digits than its logits have.

    Args:
        logits: finite logits.
        wanted: entropies in nats; one that no temperature reaches gets the nearest one's.
    """
    found = [
        _solved(logits[rows], wanted[places]) for rows, places in parts(range(len(logits)), logits)
    ]
    return torch.cat(found)


def _solved(
    logits: Float[Tensor, "row vocab"], wanted: Float[Tensor, " row"]
) -> Float[Tensor, " row"]:
    others = _others(logits)
    wanted = wanted.to(others.device, torch.float64)
    log_t = torch.zeros_like(wanted)
    low, high = torch.full_like(wanted, _BOUNDS[0]), torch.full_like(wanted, _BOUNDS[1])
    for _ in range(_PASSES):
        entropy, slope = _entropy_and_slope(others, log_t.exp())
        gap = entropy - wanted
        met = gap.abs() <= _WITHIN * wanted
        if logits.device.type == "cpu" and bool(met.all()):
            break
        low, high = torch.where(gap < 0, log_t, low), torch.where(gap > 0, log_t, high)
        ratio = (entropy / wanted).log() * entropy / slope
        newton = torch.where(ratio > 0, ratio.clamp_min(0.0).log1p(), ratio)
        newton = torch.where(newton.isfinite(), newton, gap.sign() * _STEP)
        moved = log_t - newton.clamp(-_STEP, _STEP)
        outside = (moved <= low) | (moved >= high)
        log_t = torch.where(met, log_t, torch.where(outside, (low + high) / 2, moved))
    return log_t.exp()


def _others(logits: Float[Tensor, "row vocab"]) -> Float[Tensor, "row vocab"]:
    """The logits below the largest one, which itself is left out."""
    top, first = logits.max(-1, keepdim=True)
    return (logits - top).scatter_(1, first, _NOWHERE)


def _entropy_and_slope(
    others: Float[Tensor, "row vocab"], temperature: Float[Tensor, " row"]
) -> tuple[Float[Tensor, " row"], Float[Tensor, " row"]]:
    """Entropy of softmax(logits / T), and its derivative in log T, in float64.

    The largest logit is 0 and left out of `others`: its weight of 1 would hide the small ones.
    """
    inner = others / temperature.to(others)[:, None]
    weights = inner.exp()
    rest = weights.sum(-1).double()
    mean = weights.mul_(inner).sum(-1).double() / (1 + rest)
    square = weights.mul_(inner).sum(-1).double() / (1 + rest)
    return rest.log1p() - mean, (square - mean.square()).clamp_min(0.0)
