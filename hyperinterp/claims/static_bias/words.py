"""Words beside C3: what a shuffled shift leaves, and the most diverse arm."""

from collections.abc import Iterator, Mapping
from typing import Any

from hyperinterp.claims.spec import Beaten, Measured, Published
from hyperinterp.claims.static_bias.arms import GAINERS, label
from hyperinterp.claims.static_bias.result import StaticBiasResult


def beats(result: StaticBiasResult, results: Mapping[str, Any]) -> Iterator[Beaten]:
    """Yield what had to be beaten, and the fitted model's own value."""
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
