"""Tables of many reports: a row per report and claim, and a row per report."""

from collections.abc import Iterator

from hyperinterp.claims.spec import Claim
from hyperinterp.drawing.table import Cell, Table, table
from hyperinterp.report.claims import effect_words
from hyperinterp.report.many.result import Reports


def tables(found: Reports) -> tuple[Table, ...]:
    """Return the rows to compute with, then the table to read."""
    read = {"report": "report", "fitted": "fitted"} | {name: name for name in names(found)}
    return (
        table("claims", "Every claim of every report", _claims(found)),
        table("reports", "Reports", _reports(found), read),
    )


def names(found: Reports) -> tuple[str, ...]:
    """Return the ids of all claims, in the order of the reports."""
    return tuple(dict.fromkeys(name for row in found.rows for name in row.claims))


def _claims(found: Reports) -> Iterator[dict[str, Cell]]:
    for row in found.rows:
        for name, claim in row.claims.items():
            lo, hi = claim.interval or (None, None)
            yield {
                "report": row.name, "base": row.base, "fitted": row.fitted, "claim": name,
                "verdict": str(claim.verdict), "effect": claim.effect, "lo": lo, "hi": hi,
                "unit": claim.unit, "threshold": claim.threshold, "n": claim.n,
                "p_value": claim.p_value, "p_adjusted": claim.p_adjusted, "why": claim.why,
            }  # fmt: skip


def _reports(found: Reports) -> Iterator[dict[str, Cell]]:
    for row in found.rows:
        told = {name: _told(row.claims.get(name)) for name in names(found)}
        yield {"report": row.name, "fitted": row.fitted, **told}


def _told(claim: Claim | None) -> str:
    if claim is None:
        return "not in it"
    verdict = str(claim.verdict)
    return verdict if claim.effect is None else f"{verdict} {effect_words(claim)}"
