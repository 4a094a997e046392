"""Words beside C2: what one temperature leaves, and the texts at equal entropy."""

from collections.abc import Iterator, Mapping
from typing import Any

from hyperinterp.claims.spec import Beaten, Measured, Published
from hyperinterp.claims.temperature.result import (
    AT_CONTEXT,
    FITTED_SAMPLED,
    GREEDY_AT_GLOBAL,
    TemperatureResult,
)


def beats(result: TemperatureResult, results: Mapping[str, Any]) -> Iterator[Beaten]:
    """Yield what had to be beaten, and the fitted model's own value."""
    if result.kl.value and result.kl_global.value is not None:
        share = Measured(result.kl_global.value / result.kl.value)
        yield Beaten("share left at one temperature for all contexts", share, 0)
    for arm in result.arms:
        if arm.name in (AT_CONTEXT, FITTED_SAMPLED):
            yield Beaten(f"type-token ratio, {arm.name}", arm.ttr)


def published(result: TemperatureResult) -> Iterator[Published]:
    """Yield the entropies, and what the base does at the temperature that matches them."""
    yield Published("entropy", "base", result.entropy.base)
    yield Published("entropy", "fitted", result.entropy.fitted)
    yield Published("agreement", "base at T*", Measured(result.greedy_agreement))
    yield Published("T*", "", result.global_temperature)
    for arm in result.arms:
        if arm.name == GREEDY_AT_GLOBAL:
            yield Published("ttr", "base at T*", arm.ttr)
            yield Published("entropy", "base at T*", arm.entropy)
