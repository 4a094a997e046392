"""Temperatures of the base that come closest to the fitted model: one for all contexts, and each.

Every figure is per next-token context, float64 on the CPU; nothing is averaged here.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from hyperinterp.capture import CHUNK, Contexts, logit_chunks
from hyperinterp.under_comparison import Study
from probes import entropy, kl_divergence, matched_temperature
from probes.ranks.tokens import top1_rows

BOUNDS = (1e-3, 1e3)
KEPT_BYTES = 1 << 28

_Slope = tuple[Tensor, Tensor]  # entropy and its slope, per context


@dataclass(frozen=True)
class ContextFits:
    """Per context, what the best temperature of that context leaves.

    Attributes:
        base_entropy: entropy of the base, nats.
        fitted_entropy: entropy of the fitted model, nats.
        matched: T at which the base's entropy equals the fitted model's.
        matched_entropy: the entropy reached there.
        unmatched: where no T between 0.001 and 1000 reaches it.
        kl: KL(fitted || base), nats.
        best: T at which KL(fitted || base at T) is least.
        best_kl: that least KL.
    """

    base_entropy: Float[Tensor, " n"]
    fitted_entropy: Float[Tensor, " n"]
    matched: Float[Tensor, " n"]
    matched_entropy: Float[Tensor, " n"]
    unmatched: Bool[Tensor, " n"]
    kl: Float[Tensor, " n"]
    best: Float[Tensor, " n"]
    best_kl: Float[Tensor, " n"]


@dataclass(frozen=True)
class GlobalFit:
    """One temperature for all contexts.

    Attributes:
        temperature: T at which the base's mean entropy equals the fitted model's; the nearest
            of 0.001 and 1000 when none does.
        unreachable: why no temperature does; "" when one does.
        entropy: the base's entropy at T, per context.
        slope: its derivative with respect to log T, per context.
        kl: KL(fitted || base at T), per context.
        same_top: whether the base at T and the base have the same top token, per context.
        grid: the base's entropy at every other temperature asked for, per context.
    """

    temperature: float
    unreachable: str
    entropy: Float[Tensor, " n"]
    slope: Float[Tensor, " n"]
    kl: Float[Tensor, " n"]
    same_top: Bool[Tensor, " n"]
    grid: dict[float, Float[Tensor, " n"]]


def fit_contexts(study: Study, contexts: Contexts) -> ContextFits:
    """Entropy-matched and divergence-minimising temperature of every context."""

    def each(ours: Tensor, theirs: Tensor) -> tuple[Tensor, ...]:
        goal = entropy(theirs)
        match = matched_temperature(
            ours, goal, per_context=True, tolerance=1e-4, temperature_bounds=BOUNDS
        )
        best, best_kl = best_temperature(ours, theirs)
        return (
            entropy(ours).cpu(),
            goal.cpu(),
            match.temperature.cpu(),
            match.entropy.cpu(),
            (match.clamped != 0).cpu(),
            kl_divergence(theirs, ours).cpu(),
            best,
            best_kl,
        )

    parts = study.shared.map_logits(contexts, each, CHUNK)
    return ContextFits(*(torch.cat(column) for column in zip(*parts, strict=True)))


def fit_globally(
    study: Study, contexts: Contexts, target: Tensor, grid: Sequence[float]
) -> GlobalFit:
    """The T whose mean entropy over all contexts is the mean of `target`, and its figures."""
    # One process solves: T is a key of what all of them compute, and may not differ by a bit.
    temperature, unreachable = study.run.processes.by_first(
        lambda: _solved(_replayable(study, contexts), target)
    )
    wanted = dict.fromkeys((*grid, temperature))

    def each(ours: Tensor, theirs: Tensor) -> tuple[Tensor, Tensor, dict[float, _Slope]]:
        cooled = ours / temperature
        same = top1_rows(cooled) == top1_rows(ours)
        entropies = {t: entropy_and_slope(ours, t) for t in wanted}
        return kl_divergence(theirs, cooled).cpu(), same.cpu(), entropies

    parts = study.shared.map_logits(contexts, each, CHUNK)
    found = {t: [entropies[t] for _, _, entropies in parts] for t in wanted}
    entropies = {t: torch.cat([part[0] for part in found[t]]) for t in wanted}
    return GlobalFit(
        temperature=temperature,
        unreachable=unreachable,
        entropy=entropies[temperature],
        slope=torch.cat([part[1] for part in found[temperature]]),
        kl=torch.cat([kl for kl, _, _ in parts]),
        same_top=torch.cat([same for _, same, _ in parts]),
        grid={t: entropies[t] for t in grid},
    )


def _replayable(study: Study, contexts: Contexts) -> Callable[[], Iterable[Tensor]]:
    """The base's logits, as often as wanted: kept where they are small, else computed anew."""

    def chunks() -> Iterable[Tensor]:
        return (logits for _, logits in logit_chunks(study.base, contexts.base, CHUNK))

    if len(contexts) * study.base.vocab_size * 4 > KEPT_BYTES:
        return chunks
    kept = list(chunks())
    return lambda: kept


def _solved(chunks: Callable[[], Iterable[Tensor]], target: Tensor) -> tuple[float, str]:
    """T* and "", or the nearest bound and why no temperature reaches the target."""
    goal = float(target.mean())
    try:
        match = matched_temperature(chunks, goal, tolerance=1e-7, temperature_bounds=BOUNDS)
    except ValueError:
        lowest, highest = (
            float(torch.cat([entropy_and_slope(ours, t)[0] for ours in chunks()]).mean())
            for t in BOUNDS
        )
        if lowest < goal < highest:
            raise
        bound = BOUNDS[0] if goal <= lowest else BOUNDS[1]
        return bound, (
            f"no temperature reaches the fitted model's {goal:.3g} nats; T = {bound:g} is used"
        )
    return float(match.temperature), ""


def entropy_and_slope(
    logits: Float[Tensor, "n v"], temperature: float
) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
    """Entropy H of softmax(logits / T) per row, and dH / d log T = Var_p(logits / T)."""
    found = []
    for rows in _slices(logits):
        scaled = logits[rows].double() / temperature
        scaled = scaled - scaled.amax(-1, keepdim=True)
        weights = scaled.exp()
        total, mean, variance = _weighted(weights, scaled)
        found.append((total.log() - mean, variance))
    values, slopes = zip(*found, strict=True)
    return torch.cat(values).cpu(), torch.cat(slopes).cpu()


def best_temperature(
    base: Float[Tensor, "n v"], fitted: Float[Tensor, "n v"], *, tolerance: float = 1e-12
) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
    """Per row, the T in [0.001, 1000] with the least KL(softmax(fitted) || softmax(base / T)).

    The divergence is convex in b = 1 / T, and least where the mean base logit under
    softmax(b * base) equals the mean base logit under the fitted distribution: Newton steps in
    log b, bisection where a step leaves the bracket. T = 1 is always among the candidates.

    Args:
        base: logits that the temperature divides.
        fitted: logits of the distribution that weighs.
        tolerance: of the divergence, nats.

    Returns:
        T and the least divergence in nats, float64 on the CPU.
    """
    found = [
        _best_rows(base[rows].double(), fitted[rows].double(), tolerance) for rows in _slices(base)
    ]
    temperatures, divergences = zip(*found, strict=True)
    return torch.cat(temperatures).cpu(), torch.cat(divergences).cpu()


def _best_rows(base: Tensor, fitted: Tensor, tolerance: float) -> tuple[Tensor, Tensor]:
    shifted = base - base.amax(-1, keepdim=True)
    log_p = fitted.log_softmax(-1)
    weight = log_p.exp()
    wanted = torch.einsum("nv,nv->n", weight, shifted)
    floor = torch.einsum("nv,nv->n", weight, log_p)
    x, best = torch.zeros_like(wanted), torch.zeros_like(wanted)
    least = torch.full_like(wanted, math.inf)
    low = torch.full_like(wanted, -math.log(BOUNDS[1]))
    high = torch.full_like(wanted, -math.log(BOUNDS[0]))
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


def _slices(logits: Tensor) -> Iterable[slice]:
    """Row slices small enough for a CPU's cache."""
    budget = 1 << (19 if logits.device.type == "cpu" else 25)
    step = max(1, budget // logits.shape[-1])
    return (slice(start, start + step) for start in range(0, len(logits), step))
