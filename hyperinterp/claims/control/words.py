"""Words beside C9 in a report: the diversity of the control and of the fitted model."""

from collections.abc import Iterator, Mapping
from typing import Any

from hyperinterp.claims.control.result import ControlResult
from hyperinterp.claims.spec import Beaten


def beats(result: ControlResult, results: Mapping[str, Any]) -> Iterator[Beaten]:
    """Yield the value of the control, and where it is known that of the fitted model."""
    if "ttr" not in result.scores:
        return
    yield Beaten("type-token ratio of the control", result.scores["ttr"].fitted)
    diversity = results.get("diversity")
    if diversity is not None and "ttr" in diversity.scores:
        yield Beaten("of the fitted model", diversity.scores["ttr"].fitted)
