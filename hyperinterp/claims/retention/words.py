"""Values beside C11: what the base can do, and what the control lost."""

from collections.abc import Iterator, Mapping
from typing import Any

from hyperinterp.claims.retention.result import RetentionResult
from hyperinterp.claims.spec import Beaten


def beats(result: RetentionResult, results: Mapping[str, Any]) -> Iterator[Beaten]:
    """Yield the change of the control, and the base's own accuracy."""
    if "control" in result.accuracy:
        yield Beaten("the control", result.accuracy["control"].delta, 0)
    yield Beaten("share of right picks of the base", result.accuracy["fitted"].base)
    yield Beaten("of the fitted model", result.accuracy["fitted"].fitted)
