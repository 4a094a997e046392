"""Words beside C7: the twins that the late-stage one is held against."""

from collections.abc import Iterator, Mapping
from typing import Any

from hyperinterp.claims.late_stage.result import LateStageResult
from hyperinterp.claims.spec import Beaten, Published


def beats(result: LateStageResult, results: Mapping[str, Any]) -> Iterator[Beaten]:
    """Yield the values of base and reference."""
    for twin in result.twins:
        if twin.role in ("base", "fitted"):
            yield Beaten(f"type-token ratio of {twin.name}", twin.ttr)


def published(result: LateStageResult) -> Iterator[Published]:
    """Yield the diversity of the first late-stage twin and of the twin trained in all layers."""
    by_role = {twin.role: twin.ttr for twin in result.twins[::-1]}
    for role, quantity in (("late-stage", "late-stage"), ("fitted", "all layers")):
        if role in by_role:
            yield Published(quantity, "", by_role[role])
