"""Words beside C3: what a shuffled shift leaves, and the most diverse arm."""

from collections.abc import Iterator, Mapping
from typing import Any

from hyperinterp.claims.spec import Beaten, Claim, Measured, Published, Verdict
from hyperinterp.claims.static_bias.arms import GAINERS, label
from hyperinterp.claims.static_bias.result import StaticBiasResult

CONVERGED = 3
"""A search whose least divergence lies in so many of its last steps was not at its end."""


def beats(result: StaticBiasResult, results: Mapping[str, Any]) -> Iterator[Beaten]:
    """Yield what had to be beaten, and the fitted model's own value."""
    yield Beaten(f"share left with {fitted_on(result)}", result.remaining)
    if result.explained_shuffled.value is not None:
        share = Measured(1 - result.explained_shuffled.value)
        yield Beaten("variance not static, with the shift shuffled", share, 1)
    for arm in result.arms:
        if result.best_arm == label((arm.bias, arm.alpha)):
            yield Beaten(f"type-token ratio, {result.best_arm}", arm.ttr)
    yield Beaten("of the fitted model", result.fitted_ttr)


def published(result: StaticBiasResult) -> Iterator[Published]:
    """Yield the diversity under the strongest injection of the tokens that gained rank."""
    arms = [arm for arm in result.arms if arm.bias == GAINERS and arm.ttr.value is not None]
    if arms:
        strongest = max(arms, key=lambda arm: arm.alpha)
        yield Published("static injection", "", strongest.ttr)


def fitted_on(result: StaticBiasResult) -> str:
    """Return what the fitted bias rests on, in words."""
    prompts, steps = result.calibration_prompts, result.bias_steps
    return (
        f"the bias fitted on {prompts} prompt{'s' * (prompts != 1)} in "
        f"{steps} step{'s' * (steps != 1)}"
    )


def caveat(claim: Claim, result: StaticBiasResult) -> str:
    """Return that the search for the bias was cut short; "" where it was not, or does not matter.

    A bias from a longer search can only leave less of the change.
    """
    held = result.bias_held_loss or result.bias_loss
    cut = bool(held) and min(held) in held[-CONVERGED:]
    if claim.verdict is not Verdict.SUPPORTED or not cut:
        return ""
    return (
        f"The share left is with {fitted_on(result)}, and the search still improved at its end: a "
        "longer one (--preset full) may leave less, which counts against this claim."
    )
