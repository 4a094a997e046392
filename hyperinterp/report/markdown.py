"""`report.md`: the same verdicts and main figures for terminals and pull requests."""

from collections.abc import Iterator

from hyperinterp.claims import registry
from hyperinterp.claims.spec import Claim, ClaimSpec, Verdict
from hyperinterp.drawing import rendering
from hyperinterp.drawing.escape import clip, code, markdown
from hyperinterp.drawing.numbers import DASH, seconds, words
from hyperinterp.drawing.result import Result
from hyperinterp.looks.registry import LOOKS
from hyperinterp.looks.spec import LookSpec
from hyperinterp.report.beside import beaten, caveat
from hyperinterp.report.claims import (
    asked,
    decided,
    effect_words,
    left_out,
    required,
    sentence,
    unasked,
)
from hyperinterp.report.data import ReportData
from hyperinterp.report.papers import papers
from hyperinterp.report.provenance import cost, recipe
from hyperinterp.report.sections import texts_of
from hyperinterp.report.summary import ICONS, headline, name_of, notes


def claim_lines(report: ReportData) -> list[str]:
    """Return the table of verdicts and what is behind each of them.

    Args:
        report: with its claims.
    """
    rows = [
        (
            claim.id,
            f"{ICONS[claim.verdict]} {claim.verdict}",
            effect_words(claim),
            required(claim),
            str(claim.n or DASH),
            markdown(claim.statement),
        )
        for claim in asked(report.claims)
    ]
    lines = rendering.markdown_grid(("", "verdict", "effect", "required", "n", "claim"), rows)
    for claim in asked(report.claims):
        lines += _behind(report, claim)
    if left_out(report.claims):
        lines += ["", f"Not asked for (--claims): {left_out(report.claims)}."]
    return [*lines, ""]


def _behind(report: ReportData, claim: Claim) -> Iterator[str]:
    """Return the lines behind a verdict: its conditions, what it had to beat, what favours it."""
    yield f"- **{claim.id}** {markdown(decided(claim) or str(claim.verdict))}"
    if len(claim.conditions) > 1:
        for item in claim.conditions:
            if item.outcome is claim.verdict is not Verdict.SUPPORTED:
                continue
            yield f"  - {ICONS[item.outcome]} {markdown(sentence(item))}"
    beside = "; ".join(f"{item.words}: {words(item.measured)}" for item in beaten(report, claim))
    if beside:
        yield f"  - must beat {markdown(claim.null)}. {markdown(beside)}"
    if warned := caveat(report, claim):
        yield f"  - **But:** {markdown(warned)}"


def _result(report: ReportData, spec: ClaimSpec) -> list[str]:
    """The open tables of a claim, the rows that stand for a folded one, and a few texts."""
    result = report.results.get(spec.slug)
    if result is None:
        return []
    return [f"## {spec.title} ({spec.id})", "", *_tables(result), *_texts(report, spec)]


def _look(report: ReportData, look: LookSpec) -> list[str]:
    """The tables of a measurement without a verdict."""
    result = report.results.get(look.slug)
    return [] if result is None else [f"## {look.title}", "", *_tables(result)]


def _tables(result: Result) -> list[str]:
    lines: list[str] = []
    for item in result.tables():
        for sheet in item.sheets():
            if not sheet.shut or item.brief:
                lines += rendering.markdown(sheet, item.brief)
    return lines


def _training(report: ReportData) -> list[str]:
    curve = report.training_curve
    return [] if curve is None else ["## Training", "", *_tables(curve)]


def _papers(report: ReportData) -> list[str]:
    found = papers(report)
    if found is None:
        return []
    sheets = (line for sheet in found.sheets if sheet.rows for line in rendering.markdown(sheet))
    return [f"## {found.title}", "", *sheets]


def _texts(report: ReportData, spec: ClaimSpec, shown: int = 3) -> list[str]:
    texts = texts_of(report, spec)
    if texts is None:
        return []
    count = len(texts.rows)
    lines = [f"The first {min(shown, count)} of {count} prompts, not a choice:", ""]
    for row in texts.rows[:shown]:
        lines.append(f"- prompt {code(clip(row.prompt, 160, left=True))}")
        lines += [f"  - {item.model} {code(clip(item.text.strip(), 240))}" for item in row.passages]
    return [*lines, ""]


def _missing(report: ReportData) -> list[str]:
    """Results that are not there although they were asked for, with the reason."""
    lines = []
    for spec in registry.by_id(registry.every_claim()):
        claim = report.claims.get(spec.id)
        if spec.slug not in report.results and not (claim and unasked(claim)):
            reason = markdown(report.absent.get(spec.slug, "not run"))
            lines.append(f"- {spec.title} ({spec.id}): {reason}")
    for look in LOOKS:
        if look.slug in report.absent:
            lines.append(f"- {look.title}: {markdown(report.absent[look.slug])}")
    if report.training_curve is None:
        reason = markdown(report.absent.get("training_curve", "not run"))
        lines.append(f"- Training (no claim): {reason}")
    return ["## Not in this report", "", *lines, ""] if lines else []


def _provenance(report: ReportData) -> list[str]:
    facts = report.provenance
    made = {item.role: recipe(item.trained) for item in facts.checkpoints}
    return [
        "## Provenance",
        "",
        f"{facts.prompts.used} prompts from {code(facts.prompts.origin)}, seed {facts.seed}, "
        f"{markdown(facts.device)}, {markdown(facts.dtype)}, preset {markdown(facts.preset)}; "
        f"{seconds(cost(facts.wall_seconds)[1])} in all; created {markdown(facts.created)}.",
        "",
        *(
            f"- {markdown(item.role)}: {code(item.name)} {code(item.fingerprint[:16])}"
            + (f" {markdown(made[item.role])}" if made[item.role] else "")
            for item in facts.checkpoints
        ),
    ]


def render(report: ReportData) -> str:
    """The whole document."""
    lines = [
        f"# {code(name_of(report, 'fitted'))} against {code(name_of(report, 'base'))}",
        "",
        headline(report),
        "",
        "## Claims",
        "",
        *claim_lines(report),
        *(f"> **Note:** {markdown(text)}\n" for text in notes(report)),
        *(line for spec in registry.every_claim() for line in _result(report, spec)),
        *_papers(report),
        *(line for look in LOOKS for line in _look(report, look)),
        *_training(report),
        *_missing(report),
        *_provenance(report),
    ]
    return "\n".join(lines).rstrip() + "\n"
