"""`report.md`: the same verdicts and main figures for terminals and pull requests."""

from collections.abc import Iterator, Sequence

from hyperinterp.analyses.results import Claim, Measured, Verdict
from hyperinterp.drawing.escape import clip, code, markdown
from hyperinterp.drawing.numbers import DASH, count, number, seconds, words
from hyperinterp.report.claims import (
    asked,
    decided,
    effect_words,
    left_out,
    required,
    sentence,
    unasked,
)
from hyperinterp.report.figures.geometry import metric_name
from hyperinterp.report.nulls import caveat, nulls
from hyperinterp.report.provenance import cost, recipe
from hyperinterp.report.schema import BLOCKS, Report
from hyperinterp.report.summary import BLOCK_CLAIMS, ICONS, headline, name_of, notes
from hyperinterp.report.views import VIEWS, Cell

_TITLES = {
    "diversity": "Diversity of greedy text",
    "temperature": "Temperature",
    "static_bias": "Static bias",
    "ranks": "Ranks",
    "geometry": "Geometry",
    "transplant": "Transplants",
    "sufficiency": "Late-stage twin",
    "quotation": "Quotation",
    "control": "Control checkpoint",
    "course": "Training",
}


def grid(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table whose source lines up in a terminal; cells are escaped already."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(c.ljust(w) for c, w in zip(cells, widths, strict=True)) + " |"

    return [line(head), "|" + "|".join("-" * (w + 2) for w in widths) + "|", *map(line, rows), ""]


def _claims(report: Report) -> list[str]:
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
    lines = grid(("", "verdict", "effect", "required", "n", "claim"), rows)
    for claim in asked(report.claims):
        lines += _behind(report, claim)
    if left_out(report.claims):
        lines += ["", f"Not asked for (--claims): {left_out(report.claims)}."]
    return [*lines, ""]


def _behind(report: Report, claim: Claim) -> Iterator[str]:
    """What decided a claim, its other conditions, what it had to beat, and what favours it."""
    yield f"- **{claim.id}** {markdown(decided(claim) or str(claim.verdict))}"
    if len(claim.conditions) > 1:
        for item in claim.conditions:
            if item.outcome is claim.verdict is not Verdict.SUPPORTED:
                continue
            yield f"  - {ICONS[item.outcome]} {markdown(sentence(claim, item))}"
    beside = "; ".join(f"{item.words}: {words(item.figure)}" for item in nulls(report, claim))
    if beside:
        yield f"  - must beat {markdown(claim.null)}. {markdown(beside)}"
    if warned := caveat(report, claim):
        yield f"  - **But:** {markdown(warned)}"


def _cell(value: Cell) -> str:
    if isinstance(value, Measured):
        return markdown(words(value))
    if isinstance(value, float) or value is None:
        return number(value)
    return count(value) if isinstance(value, int) else markdown(value)


def _block(report: Report, name: str) -> list[str]:
    """The main table of a block; texts and depths where a reader looks for them first."""
    block = getattr(report, name)
    if block is None:
        return []
    view = VIEWS[name](block)[0]
    rows = [[_cell(value) for value in row] for row in view.rows]
    claim = f" ({BLOCK_CLAIMS[name]})" if name in BLOCK_CLAIMS else ""
    lines = [f"## {_TITLES[name]}{claim}", "", f"{markdown(view.title)}.", ""]
    lines += grid([markdown(column) for column in view.columns], rows)
    if view.note:
        lines += [markdown(view.note), ""]
    if name == "diversity":
        lines += _generations(report)
    return lines + (_depths(report) if name == "geometry" else [])


def _generations(report: Report, shown: int = 3) -> list[str]:
    if report.diversity is None:
        return []
    prompts = report.diversity.prompts
    lines = [f"The first {min(shown, len(prompts))} of {len(prompts)} prompts, not a choice:", ""]
    for item in prompts[:shown]:
        lines.append(f"- prompt {code(clip(item.prompt, 160, left=True))}")
        lines.append(f"  - base {code(clip(item.base.text.strip(), 240))}")
        lines.append(f"  - fitted {code(clip(item.fitted.text.strip(), 240))}")
    return [*lines, ""]


def _depths(report: Report) -> list[str]:
    block = report.geometry
    if block is None:
        return []
    sites = [site for site in block.sites if site.kind in ("embed", "resid", "final_norm")]
    keep = {site.key for site in sites[:1] + sites[-6:]} | {block.largest_block, block.last_block}
    rows = [
        [
            markdown(site.label + ("" if site.pre_norm else " (post-norm)")),
            *(markdown(words(item)) for item in (pair.base, pair.fitted, pair.delta)),
        ]
        for site in sites
        if site.key in keep and (pair := site.metrics.get(block.primary)) is not None
    ]
    told = f"{metric_name(block.primary)} by depth, the last sites and the largest:"
    return [markdown(told), "", *grid(("site", "base", "fitted", "fitted − base"), rows)]


def _missing(report: Report) -> list[str]:
    """Blocks that are not there although they were asked for, with the reason."""
    lines = []
    for name in BLOCKS:
        claim = report.claims.get(BLOCK_CLAIMS.get(name, ""))
        if getattr(report, name) is None and not (claim and unasked(claim)):
            reason = markdown(report.absent.get(name, "not run"))
            lines.append(f"- {name} ({BLOCK_CLAIMS.get(name, 'no claim')}): {reason}")
    return ["## Not in this report", "", *lines, ""] if lines else []


def _provenance(report: Report) -> list[str]:
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


def render(report: Report) -> str:
    """The whole document."""
    lines = [
        f"# {code(name_of(report, 'fitted'))} against {code(name_of(report, 'base'))}",
        "",
        headline(report),
        "",
        "## Claims",
        "",
        *_claims(report),
        *(f"> **Note:** {markdown(text)}\n" for text in notes(report)),
        *(line for name in BLOCKS for line in _block(report, name)),
        *_missing(report),
        *_provenance(report),
    ]
    return "\n".join(lines).rstrip() + "\n"
