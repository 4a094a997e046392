"""C2: could a temperature do it?

Divergences and temperatures are teacher-forced, over all held-out passages; texts continue the
first prompts. The verdict's control is deliberately the most generous one: every context may take
the temperature that minimises its own KL(fitted || base at T), so the share that remains can only
understate what no temperature explains. The texts are compared at equal entropy instead: every
next-token distribution of the base is brought to the entropy that the fitted model has there.
"""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from hyperinterp.analyses.intervals import (
    context_mean,
    grouped,
    mean_of,
    remaining_share,
    resampled,
)
from hyperinterp.analyses.remedies import ordinary_remedies
from hyperinterp.analyses.scoring import (
    compared,
    mean_score,
    over_seeds,
    together,
    window_scores,
)
from hyperinterp.claims.spec import Measured, Pair, missing
from hyperinterp.claims.temperature.fit import (
    ContextFits,
    GlobalFit,
    fit_contexts,
    fit_globally,
)
from hyperinterp.claims.temperature.result import (
    AT_CONTEXT,
    AT_GLOBAL,
    FITTED_SAMPLED,
    GREEDY_AT_GLOBAL,
    Arm,
    TemperatureResult,
)
from hyperinterp.generation import Decoding, Generated
from hyperinterp.under_comparison import Study
from probes import DiversityScores, jackknife

TAUTOLOGY = (
    "a tautology: dividing the logits by any T > 0 leaves the largest one the largest, so this is "
    "the base's greedy text; the sampled arms carry the claim"
)
FILTERED = missing("what the decoding rules out changes the entropy")


def prepare(study: Study) -> tuple[ContextFits, GlobalFit]:
    """Temperatures of every context and of all together; orders the texts written at them."""
    contexts = study.shared.contexts
    with study.run.log.timed("temperature"):
        fits = fit_contexts(study, contexts)
        fit = fit_globally(study, contexts, fits.fitted_entropy, _grid(study))
    rows = study.heldout.control_rows
    study.shared.texts.order("base", ordinary_remedies(study.run.seed, rows))
    for role, arms in _sampled(study, fit.temperature).items():
        study.shared.texts.order(
            role,
            [
                Decoding(_drawn(name, s), t, s, rows=rows, match_entropy=name == AT_CONTEXT)
                for name, t in arms.items()
                for s in _seeds(study)
            ],
        )
    return fits, fit


def measure(study: Study, prepared: tuple[ContextFits, GlobalFit]) -> TemperatureResult:
    """Match temperatures, and measure what they leave of the change and the texts at them."""
    row, grid = study.shared.contexts.row, _grid(study)
    fits, fit = prepared
    entropies = _entropies(fits, fit, row)
    scores = _texts(study, fit.temperature)
    arms = _arms(fit, entropies, scores)
    by_name = {arm.name: arm for arm in arms}
    curve = [by_name[name] for name in ("base sampled", AT_GLOBAL)]
    curve += [_arm(f"base sampled at T = {t:g}", t, entropies, scores) for t in grid]
    remaining = remaining_share(fits.best_kl, fits.kl, row)
    gap = _paired_gap(
        study.sizes.window,
        _draws(study, "base", AT_CONTEXT),
        _draws(study, "fitted", FITTED_SAMPLED),
    )
    quartiles = fits.matched.quantile(torch.tensor([0.25, 0.5, 0.75]).double()).tolist()
    return TemperatureResult(
        entropy=Pair(
            entropies["base"],
            entropies["fitted"],
            context_mean(fits.fitted_entropy - fits.base_entropy, row),
        ),
        global_temperature=_temperature(fit, fits.fitted_entropy, row),
        context_temperature=(quartiles[0], quartiles[1], quartiles[2]),
        context_unmatched=int(fits.unmatched.sum()),
        greedy_agreement=float(fit.same_top.double().mean()),
        kl=context_mean(fits.kl, row),
        kl_global=context_mean(fit.kl, row),
        kl_context=context_mean(fits.best_kl, row),
        remaining=remaining,
        arms=arms + _remedies(study),
        sweep=tuple(sorted(curve, key=lambda arm: arm.temperature or 0.0)),
        ttr_at_equal_entropy=gap,
    )


def quantities(result: TemperatureResult) -> dict[str, Measured]:
    """Return what the rule judges."""
    return {"remaining": result.remaining, "diversity": result.ttr_at_equal_entropy}


def _temperature(fit: GlobalFit, target: Tensor, row: Tensor) -> Measured:
    """The global T* with its jackknife interval.

    Solving again without each prompt would cost a search per prompt. Each of those searches is
    replaced by its first Newton step from T* (in log T): the other prompts' mean entropy gap at
    T*, over their mean slope. The error is of second order in a shift that is itself of order
    1 / prompts.
    """
    if fit.unreachable:
        return missing(fit.unreachable)
    gaps, slopes = grouped(target - fit.entropy, row), grouped(fit.slope, row)
    left = slopes.sum() - slopes
    if len(gaps) < 2 or (left <= 0).any():
        return Measured(fit.temperature, n=len(gaps))
    steps = (gaps.sum() - gaps) / left
    found = resampled(jackknife, fit.temperature, fit.temperature * np.exp(steps))
    return replace(found, method=f"{found.method}; each left-out T* by one Newton step")


def _entropies(fits: ContextFits, fit: GlobalFit, row: Tensor) -> dict[str, Measured]:
    """Mean teacher-forced entropy of the distribution behind every arm, by arm name."""
    base, fitted = context_mean(fits.base_entropy, row), context_mean(fits.fitted_entropy, row)
    matched = context_mean(fit.entropy, row)
    found = {
        "base": base,
        "fitted": fitted,
        "base greedy": base,
        GREEDY_AT_GLOBAL: matched,
        "base sampled": base,
        AT_GLOBAL: matched,
        AT_CONTEXT: context_mean(fits.matched_entropy, row),
        "fitted greedy": fitted,
        FITTED_SAMPLED: fitted,
    }
    for t, values in fit.grid.items():
        found[f"base sampled at T = {t:g}"] = context_mean(values, row)
    return found


Scores = dict[str, list[DiversityScores]]


def _grid(study: Study) -> tuple[float, ...]:
    return tuple(t for t in study.sizes.sweep if t != 1.0)


def _seeds(study: Study) -> list[int]:
    return [study.run.seed * 10_007 + number for number in range(study.sizes.seeds)]


def _drawn(name: str, seed: int) -> str:
    """Name of one draw of an arm."""
    return f"{name} #{seed}"


def _sampled(study: Study, temperature: float) -> dict[str, dict[str, float]]:
    """The temperature of every sampled arm, by role and name."""
    base = {"base sampled": 1.0, AT_GLOBAL: temperature, AT_CONTEXT: 1.0}
    base |= {f"base sampled at T = {t:g}": t for t in _grid(study)}
    return {"base": base, "fitted": {FITTED_SAMPLED: 1.0}}


def _draws(study: Study, role: str, name: str) -> list[Generated]:
    """Return the texts of an arm, one entry per seed."""
    return [study.shared.texts.of(role, _drawn(name, seed)) for seed in _seeds(study)]


def _texts(study: Study, temperature: float) -> Scores:
    """Scores of every arm's texts on the first prompts, one entry per seed, by arm name."""
    window = study.sizes.window
    scores: Scores = {}
    for role, arms in _sampled(study, temperature).items():
        for name in arms:
            scores[name] = [window_scores(draw, window) for draw in _draws(study, role, name)]
        greedy = study.shared.texts.greedy(role).chosen(study.heldout.control_rows)
        scores[f"{role} greedy"] = [window_scores(greedy, window)]
    scores[GREEDY_AT_GLOBAL] = scores["base greedy"]
    return scores


def _arms(fit: GlobalFit, entropies: dict[str, Measured], scores: Scores) -> tuple[Arm, ...]:
    at = fit.temperature
    per_context = (
        "every next-token distribution of the base is brought to the entropy that the fitted "
        "model has in the same context"
    )
    plan: tuple[tuple[str, float | None, str], ...] = (
        ("base greedy", 1.0, ""),
        (GREEDY_AT_GLOBAL, at, TAUTOLOGY),
        ("base sampled", 1.0, ""),
        (AT_GLOBAL, at, fit.unreachable),
        (AT_CONTEXT, None, per_context),
        ("fitted greedy", 1.0, ""),
        (FITTED_SAMPLED, 1.0, "the seeds of the base's arms"),
    )
    return tuple(_arm(name, t, entropies, scores, note) for name, t, note in plan)


def _remedies(study: Study) -> tuple[Arm, ...]:
    """The ordinary remedies against repetition; no temperature, so no part of the verdict."""
    found = []
    for item in ordinary_remedies(study.run.seed, study.heldout.control_rows):
        scores = [window_scores(study.shared.texts.of("base", item.name), study.sizes.window)]
        found.append(
            Arm(
                item.name, "base", item.temperature, item.seed is not None, 1, FILTERED,
                mean_score(scores, "ttr"), mean_score(scores, "rep_4"),
                "an ordinary remedy, not part of the verdict",
            )
        )  # fmt: skip
    return tuple(found)


def _arm(
    name: str,
    temperature: float | None,
    entropies: dict[str, Measured],
    scores: Scores,
    note: str = "",
) -> Arm:
    sampled = "sampled" in name
    return Arm(
        name=name,
        model="fitted" if name.startswith("fitted") else "base",
        temperature=temperature,
        sampled=sampled,
        seeds=len(scores[name]) if sampled else 1,
        entropy=entropies[name],
        ttr=mean_score(scores[name], "ttr"),
        rep_4=mean_score(scores[name], "rep_4"),
        note=note,
    )


def _paired_gap(window: int, base: list[Generated], fitted: list[Generated]) -> Measured:
    """Type-token ratio, fitted minus base, averaged over seeds and paired by prompt."""
    scores = compared(window, *base, *fitted)
    keep = together(*scores)
    if keep.sum() < 2:
        return missing(f"only {int(keep.sum())} prompts have texts long enough in both arms")
    ours, theirs = scores[: len(base)], scores[len(base) :]
    return mean_of(over_seeds(theirs, "ttr", keep) - over_seeds(ours, "ttr", keep))
