"""C3: could a static re-weighting of the vocabulary do it?

The prompts are split in two at random. Every bias is estimated on the calibration half and judged
on the other: mean shift (the mean centred logit shift), top rank gainers (the mean shift at the
tokens whose mean log rank gains most, 0 elsewhere), shuffled mean shift (its entries permuted over
the vocabulary) and fitted bias (the one with the least divergence, fitted by gradient).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from hyperinterp.analyses.bias_fit import CHUNK, fit_bias, mean_shift, rank_gainers
from hyperinterp.analyses.intervals import context_mean, remaining_share
from hyperinterp.analyses.scoring import mean_score, window_scores
from hyperinterp.capture import Contexts
from hyperinterp.claims.spec import Measured, missing
from hyperinterp.claims.static_bias.arms import (
    FITTED,
    GAINERS,
    MEAN,
    NONE,
    SHUFFLED,
    Key,
    bias_grid,
    bias_texts,
    closest_arm,
    label,
    text_rows,
    writing_keys,
)
from hyperinterp.claims.static_bias.result import BiasArm, StaticBiasResult
from hyperinterp.generation import Decoding
from hyperinterp.text import split_half
from hyperinterp.under_comparison import Study
from probes import DiversityScores, FittedBias, centred_shift, kl_divergence
from probes.ranks.tokens import top1_rows

MOST_GAINERS = 500


def prepare(study: Study) -> tuple[dict[str, Tensor], FittedBias]:
    """Every bias by name, and how the fitted one was found; orders the texts written with them."""
    calibration = study.shared.contexts.in_rows(
        split_half(len(study.heldout.rows), study.run.seed)[0]
    )
    with study.run.log.timed("static bias"):
        biases, fitted = _biases(study, calibration)
    rows = text_rows(study)
    arms = [
        Decoding(label(key), bias=biases[key[0]], alpha=key[1], rows=rows)
        for key in writing_keys(study)
    ]
    study.shared.texts.order("base", arms)
    return biases, fitted


def measure(study: Study, prepared: tuple[dict[str, Tensor], FittedBias]) -> StaticBiasResult:
    """Fit static biases on one half of the prompts, and measure them on the other."""
    halves = split_half(len(study.heldout.rows), study.run.seed)
    evaluation, keys = study.shared.contexts.in_rows(halves[1]), bias_grid(study)
    biases, fitted = prepared
    with study.run.log.timed("static bias"):
        found = _evaluate(study, evaluation, biases, keys)
    texts, window = bias_texts(study), study.sizes.window
    scores = {key: window_scores(text, window) for key, text in texts.items()}
    row = evaluation.row
    nothing = float(found.whole.sum()) <= 1e-12
    unexplained = remaining_share(found.left, found.whole, row)
    remaining = remaining_share(found.kl_fitted_bias, found.kl, row)
    best_gap, best_arm = closest_arm(texts, window)
    return StaticBiasResult(
        calibration_prompts=len(halves[0]),
        evaluation_prompts=len(halves[1]),
        explained=_complement(unexplained, nothing),
        explained_shuffled=_complement(
            remaining_share(found.left_shuffled, found.whole, row), nothing
        ),
        kl=context_mean(found.kl, row),
        kl_fitted_bias=context_mean(found.kl_fitted_bias, row),
        remaining=remaining,
        bias_steps=len(fitted.losses) - 1,
        bias_loss=fitted.losses,
        arms=tuple(_arm(key, found.agrees[key], row, scores) for key in keys),
        fitted_ttr=mean_score([scores["fitted"]], "ttr"),
        base_ttr=mean_score([scores["base"]], "ttr"),
        best_gap=best_gap,
        best_arm=best_arm,
        bias_held_loss=fitted.held_losses,
        bias_chosen=fitted.chosen,
        unexplained=unexplained,
    )


def quantities(result: StaticBiasResult) -> dict[str, Measured]:
    """Return what the rule judges."""
    return {
        "remaining": result.remaining,
        "unexplained": result.unexplained,
        "diversity": result.best_gap,
    }


def _biases(study: Study, contexts: Contexts) -> tuple[dict[str, Tensor], FittedBias]:
    """Every bias from the calibration contexts, by name, and how the fitted one was found."""
    shift = mean_shift(study, contexts)
    tokens = rank_gainers(study, contexts, max(1, min(MOST_GAINERS, len(shift) // 100)))
    gainers = torch.zeros_like(shift)
    gainers[tokens] = shift[tokens]
    order = torch.randperm(len(shift), generator=torch.Generator().manual_seed(study.run.seed))
    fitted = fit_bias(study, contexts, shift, study.sizes.bias_steps)
    found = {MEAN: shift, GAINERS: gainers, SHUFFLED: shift[order], FITTED: fitted.bias}
    return found, fitted


@dataclass(frozen=True)
class _Evaluated:
    """Per evaluation context; shifts are centred logit differences, fitted minus base.

    Attributes:
        whole: squared length of the shift.
        left: squared distance of the shift from the calibration mean.
        left_shuffled: the same from the mean with its entries permuted.
        kl: KL(fitted || base).
        kl_fitted_bias: KL(fitted || base + fitted bias).
        agrees: per arm, whether the top token is the fitted model's.
    """

    whole: Tensor
    left: Tensor
    left_shuffled: Tensor
    kl: Tensor
    kl_fitted_bias: Tensor
    agrees: dict[Key, Tensor]


def _evaluate(
    study: Study, contexts: Contexts, biases: dict[str, Tensor], keys: Sequence[Key]
) -> _Evaluated:
    def each(ours: Tensor, theirs: Tensor) -> tuple[list[Tensor], dict[Key, Tensor]]:
        local = {name: bias.to(ours) for name, bias in biases.items()}
        shift = centred_shift(ours, theirs)
        parts = [
            shift.square().sum(-1),
            (shift - local[MEAN]).square().sum(-1),
            (shift - local[SHUFFLED]).square().sum(-1),
            kl_divergence(theirs, ours),
            kl_divergence(theirs, ours + local[FITTED]),
        ]
        top, agrees = top1_rows(theirs), {}
        for name, alpha in keys:
            arm = ours if name == NONE else ours + alpha * local[name]
            agrees[name, alpha] = (top1_rows(arm) == top).cpu()
        return [part.cpu() for part in parts], agrees

    found = study.shared.map_logits(contexts, each, CHUNK)
    columns = zip(*(parts for parts, _ in found), strict=True)
    return _Evaluated(
        *(torch.cat(column) for column in columns),
        agrees={key: torch.cat([agrees[key] for _, agrees in found]) for key in keys},
    )


def _complement(left: Measured, nothing: bool) -> Measured:
    """The explained share, 1 - sum |d - m|^2 / sum |d|^2, from the share that is left.

    Clipped below at 0: a shift that fits worse than no shift at all explains nothing. Missing
    where the models agree, since there is nothing to explain.
    """
    if nothing:
        return missing("nothing to explain: the models agree")
    if left.value is None or left.lo is None or left.hi is None:
        return left
    return replace(
        left,
        value=max(0.0, 1 - left.value),
        lo=max(0.0, 1 - left.hi),
        hi=max(0.0, 1 - left.lo),
        method=f"{left.method}; clipped below at 0",
    )


def _arm(
    key: Key, agrees: Tensor, row: Tensor, scores: Mapping[str | Key, DiversityScores]
) -> BiasArm:
    agreement = context_mean(agrees.float(), row)
    if key not in scores:
        gap = missing("no text is generated with this bias at this alpha")
        return BiasArm(*key, agreement, gap, gap)
    own = [scores[key]]
    return BiasArm(*key, agreement, mean_score(own, "ttr"), mean_score(own, "rep_4"))
