"""Words beside C4: the overrides before any control."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from hyperinterp.claims.reranking.result import RerankingResult
from hyperinterp.claims.spec import Beaten, Measured, Published


def beats(result: RerankingResult, results: Mapping[str, Any]) -> Iterator[Beaten]:
    """Yield the rate that the control is held against."""
    rate = result.teacher_forced.override_rate
    yield Beaten("share overridden without any shift of the base", rate, 0)


def published(result: RerankingResult) -> Iterator[Published]:
    """Yield how often the models choose the same token, and how deep the others come from."""
    found = result.teacher_forced
    yield Published("agreement", "base", Measured(1.0))
    yield Published("agreement", "fitted", _rest(found.override_rate))
    yield Published("overrides", "", found.override_rate)
    yield Published("deep", "", found.deep_share)


def _rest(share: Measured) -> Measured:
    """Everything but a share."""
    if share.value is None:
        return share
    lo, hi = (None if end is None else 1 - end for end in (share.hi, share.lo))
    return replace(share, value=1 - share.value, lo=lo, hi=hi)
