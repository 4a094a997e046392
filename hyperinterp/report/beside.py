"""Words beside a claim: values of what it had to beat, what favours it, and notes."""

from collections.abc import Iterator

from hyperinterp.claims import registry
from hyperinterp.claims.spec import Beaten, Claim, ClaimSpec, Verdict
from hyperinterp.report.data import ReportData


def spec_of(claim: Claim) -> ClaimSpec | None:
    """Return the spec of a claim; None when it is not installed here."""
    return next((spec for spec in registry.every_claim() if spec.id == claim.id), None)


def beaten(report: ReportData, claim: Claim) -> tuple[Beaten, ...]:
    """Return every value in the report of what a tested claim had to beat."""
    spec = spec_of(claim)
    result = None if spec is None else report.results.get(spec.slug)
    find = None if spec is None else spec.part("words", "beats")
    if find is None or result is None or claim.verdict is Verdict.NOT_TESTED:
        return ()
    return tuple(item for item in find(result, report.results) if item.measured.value is not None)


def caveat(report: ReportData, claim: Claim) -> str:
    """Return what favours a claim on this pair whatever the truth; "" when nothing does."""
    spec = spec_of(claim)
    result = None if spec is None else report.results.get(spec.slug)
    find = None if spec is None else spec.part("words", "caveat")
    return "" if find is None or result is None else find(claim, result)


def notes(report: ReportData) -> Iterator[str]:
    """Yield what verdicts say together, as the claims' folders tell it."""
    for spec in registry.by_id(registry.every_claim()):
        find = spec.part("words", "notes")
        if find is not None:
            yield from find(report.claims)
