"""Measure T1."""

from hyperinterp.analyses.intervals import pair_of
from hyperinterp.claims.spec import Measured
from hyperinterp.study import Study
from toy_claim.result import LengthResult


def prepare(study: Study) -> None:
    """Order the texts: those of all claims are generated together."""
    study.texts.order_greedy("base", "fitted")


def measure(study: Study) -> LengthResult:
    """Measure the length of both models' greedy texts."""
    texts = (study.texts.greedy(role).rows for role in ("base", "fitted"))
    return LengthResult(pair_of(*([float(len(row)) for row in rows] for rows in texts)))


def quantities(result: LengthResult) -> dict[str, Measured]:
    """Return what the rule judges."""
    return {"gain": result.tokens.delta}
