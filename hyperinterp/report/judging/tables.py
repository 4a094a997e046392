"""Tables of what judges preferred."""

from hyperinterp.drawing.table import Table, table
from hyperinterp.report.judging.result import Judgement


def tables(result: Judgement) -> tuple[Table, ...]:
    """Return the answers, pair by pair."""
    rows = (
        {
            "number": item.number, "prompt_id": item.prompt_id, "fitted": item.fitted,
            "base": item.base, "same": item.same, "preference": item.preference,
        }
        for item in result.pairs
    )  # fmt: skip
    read = {
        "number": "pair", "prompt_id": "prompt", "fitted": "for fitted", "base": "for base",
        "same": "neither", "preference": "share for fitted",
    }  # fmt: skip
    return (table("pairs", "What the judges preferred", rows, read),)
