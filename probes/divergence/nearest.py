"""The temperature that brings one distribution closest to another, context by context."""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from probes._foreign import Array, real, same_shape, widen
from probes.slices import row_slices


class BestTemperature(NamedTuple):
    """The temperature of every context that leaves the least divergence.

    Attributes:
        temperature: T, [...].
        divergence: KL(softmax(fitted) || softmax(base / T)) in nats, [...].
    """

    temperature: Float64[Tensor, "*contexts"]
    divergence: Float64[Tensor, "*contexts"]


def best_temperature(
    base: Array,
    fitted: Array,
    *,
    tolerance: float = 1e-12,
    temperature_bounds: tuple[float, float] = (1e-3, 1e3),
) -> BestTemperature:
    """The T with the least KL(softmax(fitted) || softmax(base / T)) of every context.

    The divergence is convex in b = 1 / T, and least where the mean base logit under
    softmax(b * base) equals the mean base logit under the fitted distribution: Newton steps in
    log b, bisection where a step leaves the bracket. T = 1 is always among the candidates.

    Args:
        base: Logits that the temperature divides, [... v].
        fitted: Logits of the distribution that weighs, of the same shape.
        tolerance: Of the divergence, in nats.
        temperature_bounds: Least and largest T; they enclose 1.

    Returns:
        T and the divergence that is left, float64 on the CPU.

    Raises:
        ValueError: for shapes or devices that differ, bounds that do not enclose 1, an empty
            input, NaN or infinity.

    >>> base = torch.tensor([[2.0, 1.0, 0.0], [0.0, 3.0, 1.0]])
    >>> best_temperature(base, base / 0.5).temperature.numpy().round(6)
    array([0.5, 0.5])
    """
    if not 0 < temperature_bounds[0] < 1 < temperature_bounds[1] < math.inf:
        raise ValueError(f"temperature_bounds: expected to enclose 1, found {temperature_bounds}")
    ours, theirs = real(base, "base"), real(fitted, "fitted")
    same_shape(ours, theirs, "base", "fitted")
    lead = ours.shape[:-1]
    ours, theirs = ours.reshape(-1, ours.shape[-1]), theirs.reshape(-1, theirs.shape[-1])
    found = [
        _best_rows(
            widen(ours[rows], "base"), widen(theirs[rows], "fitted"), tolerance, temperature_bounds
        )
        for rows in row_slices(*ours.shape, device=ours.device)
    ]
    temperatures, divergences = zip(*found, strict=True)
    return BestTemperature(
        torch.cat(temperatures).cpu().reshape(lead), torch.cat(divergences).cpu().reshape(lead)
    )


def _best_rows(
    base: Float[Tensor, "n v"],
    fitted: Float[Tensor, "n v"],
    tolerance: float,
    bounds: tuple[float, float],
) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
    shifted = base - base.amax(-1, keepdim=True)
    log_p = fitted.log_softmax(-1)
    weight = log_p.exp()
    wanted = torch.einsum("nv,nv->n", weight, shifted)
    floor = torch.einsum("nv,nv->n", weight, log_p)
    x, best = torch.zeros_like(wanted), torch.zeros_like(wanted)
    least = torch.full_like(wanted, math.inf)
    low = torch.full_like(wanted, -math.log(bounds[1]))
    high = torch.full_like(wanted, -math.log(bounds[0]))
    active = torch.arange(len(wanted), device=wanted.device)
    for _ in range(80):
        beta = x[active].exp()
        scaled = shifted[active] * beta[:, None]
        total, mean, variance = _weighted(scaled.exp(), scaled)
        gap = mean - beta * wanted[active]
        kl = total.log() - beta * wanted[active] + floor[active]
        better = kl < least[active]
        least[active] = torch.where(better, kl, least[active])
        best[active] = torch.where(better, x[active], best[active])
        low[active] = torch.where(gap < 0, x[active], low[active])
        high[active] = torch.where(gap > 0, x[active], high[active])
        newton = x[active] - gap / variance
        inside = (newton > low[active]) & (newton < high[active])
        x[active] = torch.where(inside, newton, (low[active] + high[active]) / 2)
        # Half the squared Newton step times the curvature is what is left to gain.
        met = gap.square() <= 2 * tolerance * variance
        active = active[~met & (high[active] - low[active] > 1e-9) & (gap != 0)]
        if len(active) == 0:
            break
    return (-best).exp(), least.clamp_min(0.0)


def _weighted(weights: Tensor, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Sum of the weights, and weighted mean and variance of the values, per row."""
    total = weights.sum(-1)
    mean = torch.einsum("nv,nv->n", weights, values) / total
    square = torch.einsum("nv,nv,nv->n", weights, values, values) / total
    return total, mean, (square - mean.square()).clamp_min(0.0)
