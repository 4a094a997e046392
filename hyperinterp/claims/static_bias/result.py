"""The result of C3: what a static bias can do."""

from dataclasses import dataclass, field

from hyperinterp.claims.spec import Measured, missing
from hyperinterp.drawing.result import Result


@dataclass(frozen=True)
class BiasArm:
    """Base plus alpha times a context-free bias, decoded greedily on the other split.

    Attributes:
        bias: "mean shift", "top rank gainers", "shuffled mean shift", "fitted bias", or "none"
            for the base itself (alpha 0).
        alpha: factor on the bias.
        agreement: top-1 agreement with the fitted model, teacher-forced.
        ttr: mean type-token ratio of generated text; missing when not generated.
        rep_4: mean share of repeated 4-grams; missing when not generated.
    """

    bias: str
    alpha: float
    agreement: Measured
    ttr: Measured
    rep_4: Measured


@dataclass(frozen=True)
class StaticBiasResult(Result):
    """Static controls, estimated on one half of the prompts and judged on the other.

    Attributes:
        calibration_prompts: prompts that the biases were estimated on.
        evaluation_prompts: prompts that everything here is measured on.
        explained: share of the logit-shift variance that the mean shift explains.
        explained_shuffled: the same with the shift shuffled over the vocabulary (null).
        kl: mean KL(fitted || base), nats.
        kl_fitted_bias: mean KL(fitted || base + bias) with the bias fitted by gradient.
        remaining: kl_fitted_bias / kl.
        bias_steps: optimiser steps of the fitted bias.
        bias_loss: KL per step of the fitted bias, on the calibration contexts it is fitted to.
        arms: the alpha grid of every bias.
        fitted_ttr: the fitted model's own ratio on the same prompts.
        base_ttr: the base's.
        best_gap: fitted minus the most diverse static arm, paired by prompt.
        best_arm: which arm that is.
        bias_held_loss: the KL per step on the calibration prompts kept aside; empty where none
            was, or when not recorded.
        bias_chosen: the step whose bias was taken, the best one on the prompts kept aside.
        unexplained: share of the logit-shift variance that the mean shift leaves; above 1 where
            it fits worse than no shift.
    """

    calibration_prompts: int
    evaluation_prompts: int
    explained: Measured
    explained_shuffled: Measured
    kl: Measured
    kl_fitted_bias: Measured
    remaining: Measured
    bias_steps: int
    bias_loss: tuple[float, ...]
    arms: tuple[BiasArm, ...]
    fitted_ttr: Measured
    base_ttr: Measured
    best_gap: Measured
    best_arm: str
    bias_held_loss: tuple[float, ...] = ()
    bias_chosen: int | None = None
    unexplained: Measured = field(default_factory=lambda: missing("not recorded"))
