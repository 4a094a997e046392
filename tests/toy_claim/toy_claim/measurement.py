"""Measure T1."""

from collections.abc import Sequence

from hyperinterp.analyses.intervals import pair_of
from hyperinterp.claims.spec import Measured
from hyperinterp.models import HookedModel
from hyperinterp.under_comparison import Study
from toy_claim.result import LengthResult


def prepare(study: Study) -> None:
    """Order the texts: those of all claims are generated together."""
    study.shared.texts.order_greedy("base", "fitted")


def measure(study: Study) -> LengthResult:
    """Measure the length of both models' greedy texts, in the judge's tokens or the base's."""
    judge = study.model("judge" if study.given("judge") else "base")
    texts = (study.shared.texts.greedy(role).rows for role in ("base", "fitted"))
    return LengthResult(pair_of(*(_lengths(study, judge, rows) for rows in texts)))


def _lengths(study: Study, judge: HookedModel, rows: Sequence[Sequence[int]]) -> list[float]:
    texts = [study.heldout.tokenizer.decode(row) for row in rows]
    return [float(len(judge.tokenizer(text)["input_ids"])) for text in texts]


def quantities(result: LengthResult) -> dict[str, Measured]:
    """Return what the rule judges."""
    return {"gain": result.tokens.delta}
