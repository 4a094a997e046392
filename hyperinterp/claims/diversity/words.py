"""Words beside C1: scores of both models, and what no gain means for controls."""

from collections.abc import Iterator, Mapping
from typing import Any

from hyperinterp.claims.diversity.result import DiversityResult
from hyperinterp.claims.spec import Beaten, Claim, Published, Verdict


def beats(result: DiversityResult, results: Mapping[str, Any]) -> Iterator[Beaten]:
    """Yield what had to be beaten, and the fitted model's own value."""
    if "ttr" in result.scores:
        yield Beaten("type-token ratio of the base", result.scores["ttr"].base)
        yield Beaten("of the fitted model", result.scores["ttr"].fitted)
        yield Beaten("of what people wrote", result.human)


def notes(claims: Mapping[str, Claim]) -> Iterator[str]:
    """Yield what the verdict says of others."""
    first = claims.get("C1")
    if first is not None and first.verdict is Verdict.NOT_SUPPORTED:
        yield (
            "Without a gain in diversity the controls C2, C3, C7 and C9 have nothing to explain; "
            "read them as descriptions of the change, whatever it is."
        )


def published(result: DiversityResult) -> Iterator[Published]:
    """Yield the scores of greedy text."""
    for key in ("ttr", "rep_2", "rep_3"):
        if key in result.scores:
            yield Published(key, "base", result.scores[key].base)
            yield Published(key, "fitted", result.scores[key].fitted)
