"""Words beside C10: surprisal of the other texts, and which way the base leans as judge."""

from collections.abc import Iterator, Mapping
from typing import Any

from hyperinterp.claims.quality import CLAIM
from hyperinterp.claims.quality.arms import BASE, FITTED, TOO_HOT, hot
from hyperinterp.claims.quality.result import QualityResult
from hyperinterp.claims.spec import Beaten, Claim, Verdict

LEANS = {
    "base": (
        "the base judges itself. It finds its own text likely, and that of a model that came from "
        "it, so both look better beside people's text than to another judge: this makes C10 "
        "easier to meet. --reference CKPT names another judge."
    ),
    "fitted": (
        "the fitted model judges itself, and greedy text is what it finds likeliest: this makes "
        "C10 easier to meet, most of all its first two conditions. --reference CKPT names "
        "another judge."
    ),
}
"""Which way a judge of the pair leans."""


def beats(result: QualityResult, results: Mapping[str, Any]) -> Iterator[Beaten]:
    """Yield what lies around the human texts, and the most diverse remedy that still is good."""
    yield Beaten("one half of the human texts over the other", result.noise_floor, 0)
    for item in result.texts:
        if item.source in (BASE, hot(TOO_HOT)):
            yield Beaten(item.source, item.excess, 0)
    by_source = {item.source: item for item in result.texts}
    limit = CLAIM.rule.criteria[0].threshold
    good = [
        (item.ttr.value, item)
        for item in result.texts
        if item.kind == "remedy" and item.ttr.value is not None
        and item.excess.value is not None and item.excess.value < limit
    ]  # fmt: skip
    if good and FITTED in by_source:
        best = max(good, key=lambda pair: pair[0])[1]
        yield Beaten(f"type-token ratio, {best.source}", best.ttr)
        yield Beaten("of the fitted model, on all prompts", by_source[FITTED].ttr)


def caveat(claim: Claim, result: QualityResult) -> str:
    """Return what favours the claim whatever the truth."""
    judged = claim.verdict in (Verdict.SUPPORTED, Verdict.INCONCLUSIVE)
    return LEANS.get(result.judge, "") if judged else ""
