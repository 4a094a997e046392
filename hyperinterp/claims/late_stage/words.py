"""Words beside C7: the twins that the late-stage one is held against."""

from collections.abc import Iterator, Mapping
from typing import Any

from hyperinterp.claims.late_stage.result import LateStageResult
from hyperinterp.claims.spec import Beaten


def beats(result: LateStageResult, results: Mapping[str, Any]) -> Iterator[Beaten]:
    """Yield the values of base and reference."""
    for twin in result.twins:
        if twin.role in ("base", "fitted"):
            yield Beaten(f"type-token ratio of {twin.name}", twin.ttr)
