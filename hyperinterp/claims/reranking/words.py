"""Words beside C4: the overrides before any control."""

from collections.abc import Iterator, Mapping
from typing import Any

from hyperinterp.claims.reranking.result import RerankingResult
from hyperinterp.claims.spec import Beaten


def beats(result: RerankingResult, results: Mapping[str, Any]) -> Iterator[Beaten]:
    """Yield the rate that the control is held against."""
    rate = result.teacher_forced.override_rate
    yield Beaten("share overridden without any shift of the base", rate, 0)
