"""What stands beside C10: surprisal of the other texts, and which way the base leans as judge."""

from collections.abc import Iterator, Mapping
from typing import Any

from hyperinterp.claims.quality.result import QualityResult
from hyperinterp.claims.spec import Beaten, Claim, Verdict

LEANS = (
    "the base judges itself. It finds its own text likely, and that of a model that came from it, "
    "so both look better beside people's text than to another judge: this makes C10 easier to "
    "meet. --reference CKPT names another judge."
)


def beats(result: QualityResult, results: Mapping[str, Any]) -> Iterator[Beaten]:
    """Yield the distance of every source from the human texts, and their noise."""
    yield Beaten("one half of the human texts over the other", result.noise_floor, 0)
    for item in result.texts:
        if item.kind in ("base", "remedy"):
            yield Beaten(item.source, item.excess, 0)


def caveat(claim: Claim, result: QualityResult) -> str:
    """Return what favours the claim whatever the truth."""
    judged = claim.verdict in (Verdict.SUPPORTED, Verdict.INCONCLUSIVE)
    return LEANS if result.is_base and judged else ""
