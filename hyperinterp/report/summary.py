"""The report in plain words: title, the verdicts counted and told, and what must not be hidden."""

from hyperinterp.claims.spec import Claim, Verdict
from hyperinterp.report import beside
from hyperinterp.report.claims import left_out, unasked
from hyperinterp.report.data import CheckpointFacts, ReportData

ICONS = {
    Verdict.SUPPORTED: "✓",
    Verdict.NOT_SUPPORTED: "✗",
    Verdict.INCONCLUSIVE: "?",
    Verdict.NOT_TESTED: "–",
    Verdict.FAILED: "!",
}
_OPENINGS = {
    Verdict.SUPPORTED: "Supported",
    Verdict.NOT_SUPPORTED: "Not supported",
    Verdict.INCONCLUSIVE: "Left open",
}


def checkpoint(report: ReportData, role: str) -> CheckpointFacts | None:
    """The checkpoint with a role, e.g. "fitted"; None when there is none."""
    found = (item for item in report.provenance.checkpoints if item.role == role)
    return next(found, None)


def name_of(report: ReportData, role: str) -> str:
    """Name of the checkpoint with a role, or the role itself."""
    item = checkpoint(report, role)
    return item.name if item is not None else role


def title(report: ReportData) -> str:
    """E.g. `base against fitted`, with the checkpoints' names."""
    return f"{name_of(report, 'fitted')} against {name_of(report, 'base')}"


def counts(report: ReportData) -> list[tuple[Verdict, int]]:
    """Count the claims that were asked for by verdict; no zeros."""
    verdicts = [claim.verdict for claim in report.claims.values() if not unasked(claim)]
    return [(verdict, verdicts.count(verdict)) for verdict in Verdict if verdict in verdicts]


def headline(report: ReportData) -> str:
    """The verdicts counted, in one sentence."""
    found = counts(report)
    if not found:
        return "No claim was asked for."
    parts = [f"{count} {verdict}" for verdict, count in found]
    total = sum(count for _, count in found)
    return f"Of {total} claim{'s' if total > 1 else ''}: {', '.join(parts)}."


def sentences(report: ReportData) -> list[str]:
    """Every claim under its verdict, a sentence for each verdict."""
    groups: dict[Verdict, list[Claim]] = {verdict: [] for verdict in Verdict}
    for claim in report.claims.values():
        if not unasked(claim):
            groups[claim.verdict].append(claim)
    found = []
    for verdict, opening in _OPENINGS.items():
        parts = [f"{_clause(claim)} ({claim.id})" for claim in groups[verdict]]
        if parts:
            found.append(f"{opening}: {'; '.join(parts)}.")
    untested = [claim.id for claim in groups[Verdict.NOT_TESTED]]
    broken = [claim.id for claim in groups[Verdict.FAILED]]
    if broken:
        found.append(f"Failed, with the reason in its row: {', '.join(broken)}.")
    if untested:
        found.append(f"Not tested with what was given: {', '.join(untested)}.")
    if left_out(report.claims):
        found.append(f"Not asked for: {left_out(report.claims)}.")
    return found


def _clause(claim: Claim) -> str:
    words = claim.statement.rstrip(".")
    return f"{words[:1].lower()}{words[1:]}"


def notes(report: ReportData) -> list[str]:
    """Return notes on the verdicts: the warnings, and what two verdicts say together.

    The first ones are the warnings of the report, word for word.
    """
    found = list(report.provenance.warnings)
    second = checkpoint(report, "fitted")
    if second is not None and second.trained.get("kind") != "hyperfitted":
        found.append(
            "“Fitted” is only the name of the second checkpoint here: its files do not record how "
            "it was made, and no verdict says so."
        )
    return [*found, *beside.notes(report)]
