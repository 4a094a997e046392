"""The report in plain words: title, the verdicts counted and told, and what must not be hidden."""

from hyperinterp.analyses.results import Claim, Verdict
from hyperinterp.report.claims import left_out, unasked
from hyperinterp.report.schema import CheckpointFacts, Report

ICONS = {
    Verdict.SUPPORTED: "✓",
    Verdict.NOT_SUPPORTED: "✗",
    Verdict.INCONCLUSIVE: "?",
    Verdict.NOT_TESTED: "–",
}
BLOCK_CLAIMS = {
    "diversity": "C1",
    "temperature": "C2",
    "static_bias": "C3",
    "ranks": "C4",
    "geometry": "C5",
    "transplant": "C6",
    "sufficiency": "C7",
    "quotation": "C8",
    "control": "C9",
}
_OPENINGS = {
    Verdict.SUPPORTED: "Supported",
    Verdict.NOT_SUPPORTED: "Not supported",
    Verdict.INCONCLUSIVE: "Left open",
}


def checkpoint(report: Report, role: str) -> CheckpointFacts | None:
    """The checkpoint with a role, e.g. "fitted"; None when there is none."""
    found = (item for item in report.provenance.checkpoints if item.role == role)
    return next(found, None)


def name_of(report: Report, role: str) -> str:
    """Name of the checkpoint with a role, or the role itself."""
    item = checkpoint(report, role)
    return item.name if item is not None else role


def title(report: Report) -> str:
    """E.g. `base against fitted`, with the checkpoints' names."""
    return f"{name_of(report, 'fitted')} against {name_of(report, 'base')}"


def counts(report: Report) -> list[tuple[Verdict, int]]:
    """How many of the claims that were asked for have each verdict; no zeros."""
    verdicts = [claim.verdict for claim in report.claims.values() if not unasked(claim)]
    return [(verdict, verdicts.count(verdict)) for verdict in Verdict if verdict in verdicts]


def headline(report: Report) -> str:
    """The verdicts counted, in one sentence."""
    found = counts(report)
    if not found:
        return "No claim was asked for."
    parts = [f"{count} {verdict}" for verdict, count in found]
    total = sum(count for _, count in found)
    return f"Of {total} claim{'s' if total > 1 else ''}: {', '.join(parts)}."


def sentences(report: Report) -> list[str]:
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
    if untested:
        found.append(f"Not tested with what was given: {', '.join(untested)}.")
    if left_out(report.claims):
        found.append(f"Not asked for: {left_out(report.claims)}.")
    return found


def _clause(claim: Claim) -> str:
    words = claim.statement.rstrip(".")
    return f"{words[:1].lower()}{words[1:]}"


def notes(report: Report) -> list[str]:
    """What a reader of the verdicts has to know: the warnings, and what two verdicts say together.

    The first ones are the warnings of the report, word for word.
    """
    verdict = {name: claim.verdict for name, claim in report.claims.items()}
    found = list(report.provenance.warnings)
    second = checkpoint(report, "fitted")
    if second is not None and second.trained.get("kind") != "hyperfitted":
        found.append(
            "“Fitted” is only the name of the second checkpoint here: its files do not record how "
            "it was made, and no verdict says so."
        )
    if verdict.get("C5") is Verdict.SUPPORTED and verdict.get("C6") is Verdict.NOT_SUPPORTED:
        found.append(
            "Growth and cause come apart on this pair: the space grows most in the last block, "
            "but moving that block alone does not move the change."
        )
    first = report.claims.get("C1")
    if first is not None and first.verdict is Verdict.NOT_SUPPORTED:
        found.append(
            "Without a gain in diversity the controls C2, C3, C7 and C9 have nothing to explain; "
            "read them as descriptions of the change, whatever it is."
        )
    return found
