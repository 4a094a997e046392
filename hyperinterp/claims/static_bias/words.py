"""Words beside C3: what a shuffled shift leaves, and the most diverse arm."""

from collections.abc import Iterator, Mapping
from typing import Any

from hyperinterp.claims.spec import Beaten, Measured
from hyperinterp.claims.static_bias.arms import label
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
