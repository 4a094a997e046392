"""Temperatures of the base that come closest to the fitted model: one for all contexts, and each.

Every figure is per next-token context, float64 on the CPU; nothing is averaged here.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from hyperinterp.capture import CHUNK, Contexts, logit_chunks
from hyperinterp.under_comparison import Study
from probes import (
    best_temperature,
    entropy,
    entropy_and_slope,
    kl_divergence,
    matched_temperature,
    mean_entropy,
)
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
        best, best_kl = best_temperature(ours, theirs, temperature_bounds=BOUNDS)
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
        found = {t: entropy_and_slope(ours, t) for t in wanted}
        entropies = {t: (at.cpu(), slope.cpu()) for t, (at, slope) in found.items()}
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
        lowest, highest = (float(mean_entropy(chunks, t)) for t in BOUNDS)
        if lowest < goal < highest:
            raise
        bound = BOUNDS[0] if goal <= lowest else BOUNDS[1]
        return bound, (
            f"no temperature reaches the fitted model's {goal:.3g} nats; T = {bound:g} is used"
        )
    return float(match.temperature), ""
