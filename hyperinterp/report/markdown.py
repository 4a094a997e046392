"""`report.md`: the same verdicts and main figures for terminals and pull requests."""

from collections.abc import Sequence

from hyperinterp.analyses.results import Pair
from hyperinterp.report.escape import clip, code, markdown
from hyperinterp.report.numbers import DASH, seconds, words
from hyperinterp.report.schema import BLOCKS, Report
from hyperinterp.report.summary import (
    BLOCK_CLAIMS,
    ICONS,
    effect_words,
    name_of,
    required,
    sentences,
)


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
        for claim in report.claims.values()
    ]
    return grid(("", "verdict", "effect", "required", "n", "claim"), rows)


def _pairs(pairs: dict[str, Pair], second: str = "fitted") -> list[str]:
    rows = [
        (markdown(key), *(markdown(words(item)) for item in (pair.base, pair.fitted, pair.delta)))
        for key, pair in pairs.items()
    ]
    return grid(("measure", "base", second, "difference"), rows)


def _generations(report: Report, count: int = 3) -> list[str]:
    if report.diversity is None:
        return []
    lines: list[str] = []
    for item in report.diversity.prompts[:count]:
        lines.append(f"- prompt {code(clip(item.prompt, 160, left=True))}")
        lines.append(f"  - base {code(clip(item.base.text.strip(), 240))}")
        lines.append(f"  - fitted {code(clip(item.fitted.text.strip(), 240))}")
    return [*lines, ""]


def _geometry(report: Report) -> list[str]:
    block = report.geometry
    if block is None:
        return []
    sites = [site for site in block.sites if site.kind in ("embed", "resid", "final_norm")]
    keep = {site.key for site in sites[:1] + sites[-6:]} | {block.largest_block, block.last_block}
    pairs = {
        site.label + ("" if site.pre_norm else " (post-norm)"): site.metrics[block.primary]
        for site in sites
        if site.key in keep and block.primary in site.metrics
    }
    return [f"Measure: {markdown(block.primary)}.", "", *_pairs(pairs)]


def render(report: Report) -> str:
    """The whole document."""
    facts = report.provenance
    lines = [
        f"# {code(name_of(report, 'fitted'))} against {code(name_of(report, 'base'))}",
        "",
        " ".join(markdown(sentence) for sentence in sentences(report)),
        "",
        *(f"> **Warning:** {markdown(text)}\n" for text in facts.warnings),
        "## Claims",
        "",
        *_claims(report),
        *(f"- **{c.id}** {markdown(c.why)}" for c in report.claims.values()),
        "",
    ]
    if report.diversity is not None:
        lines += ["## Diversity of greedy text", "", *_pairs(report.diversity.scores)]
        lines += _generations(report)
    if report.geometry is not None:
        lines += ["## Dimension by depth", "", *_geometry(report)]
    if report.control is not None:
        lines += ["## Control checkpoint", "", *_pairs(report.control.scores, "control")]
    absent = [name for name in BLOCKS if getattr(report, name) is None]
    if absent:
        lines += ["## Not in this report", ""]
        for name in absent:
            reason = markdown(report.absent.get(name, "not run"))
            lines.append(f"- {name} ({BLOCK_CLAIMS.get(name, 'no claim')}): {reason}")
        lines.append("")
    lines += [
        "## Provenance",
        "",
        f"{facts.prompts.used} prompts from {code(facts.prompts.origin)}, seed {facts.seed}, "
        f"{markdown(facts.device)}, {markdown(facts.dtype)}, preset {markdown(facts.preset)}; "
        f"{seconds(sum(facts.wall_seconds.values()))} in all; created {markdown(facts.created)}.",
        "",
        *(
            f"- {markdown(item.role)}: {code(item.name)} {code(item.fingerprint[:16])}"
            for item in facts.checkpoints
        ),
    ]
    return "\n".join(lines).rstrip() + "\n"
