"""The report in plain words: title, one paragraph, and what the page must not hide."""

from hyperinterp.analyses.results import Claim, Verdict
from hyperinterp.report.numbers import number
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
    Verdict.SUPPORTED: "The figures support that ",
    Verdict.NOT_SUPPORTED: "They do not support that ",
    Verdict.INCONCLUSIVE: "They leave open whether ",
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


def _clause(claim: Claim) -> str:
    words = claim.statement.rstrip(".")
    return f"{words[:1].lower()}{words[1:]} ({claim.id})"


def _join(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else "; ".join(parts[:-1]) + "; and that " + parts[-1]


def sentences(report: Report) -> list[str]:
    """The summary paragraph, sentence by sentence, without the models' names."""
    groups: dict[Verdict, list[Claim]] = {verdict: [] for verdict in Verdict}
    for claim in report.claims.values():
        groups[claim.verdict].append(claim)
    found = [_count(groups)]
    for verdict, opening in _OPENINGS.items():
        parts = [_clause(claim) for claim in groups[verdict]]
        if not parts:
            continue
        text = _join(parts)
        if verdict is Verdict.INCONCLUSIVE:
            text = text.replace("; and that ", "; and whether ")
        if len(found) == 1:
            opening = opening.replace("They", "The figures")
        found.append(f"{opening}{text}.")
    untested = [claim.id for claim in groups[Verdict.NOT_TESTED]]
    if untested:
        found.append(f"Not tested with what was given: {', '.join(untested)}.")
    return found + _remarks(report)


def _count(groups: dict[Verdict, list[Claim]]) -> str:
    words = {
        Verdict.SUPPORTED: "supported",
        Verdict.NOT_SUPPORTED: "not supported",
        Verdict.INCONCLUSIVE: "inconclusive",
        Verdict.NOT_TESTED: "not tested",
    }
    parts = [f"{len(groups[v])} {text}" for v, text in words.items() if groups[v]]
    total = sum(map(len, groups.values()))
    return f"Of {total} claims: {', '.join(parts)}." if parts else "No claim was asked for."


def _remarks(report: Report) -> list[str]:
    """What two verdicts say together."""
    verdict = {name: claim.verdict for name, claim in report.claims.items()}
    found: list[str] = []
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


def effect_words(claim: Claim) -> str:
    """The effect with its interval, e.g. `0.358 [0.31, 0.40]`."""
    if claim.effect is None:
        return "–"
    if claim.interval is None:
        return number(claim.effect)
    lo, hi = claim.interval
    return f"{number(claim.effect)} [{number(lo)}, {number(hi)}]"


def required(claim: Claim) -> str:
    """The declared threshold, e.g. `above 0.05`."""
    if claim.threshold is None:
        return "–"
    above = claim.conditions[0].above if claim.conditions else claim.id not in _BELOW
    return f"{'above' if above else 'below'} {claim.threshold:g}"


_BELOW = {"C8"}
