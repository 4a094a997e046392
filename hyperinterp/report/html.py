"""`report.html`: one offline page; every script and style is allowed by its hash only."""

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from functools import cache
from typing import Any

from markupsafe import Markup

from hyperinterp.claims.verdict import p_words
from hyperinterp.drawing import numbers, rendering
from hyperinterp.drawing.chart import Chart
from hyperinterp.drawing.escape import bdi, html_text, visible
from hyperinterp.drawing.theme import swaps, template
from hyperinterp.report import beside, claims, opening, passages, pictures, provenance, summary
from hyperinterp.report.data import ReportData
from hyperinterp.report.papers import papers
from hyperinterp.report.sections import PageSection, sections

# What plotly.js writes into style attributes and an empty style element; both harmless.
_RUNTIME_ATTRIBUTES = ("", "font-size:70%")
_RUNTIME_STYLE = re.compile(r"\.textContent='((?:[^'\\]|\\.)*)'")


def render(report: ReportData) -> str:
    """The whole page of a report as text."""
    found = [*sections(report), *filter(None, [papers(report)])]
    return page(
        "page.html.j2",
        report,
        found,
        summary.title(report),
        files=("report.json", "tables/"),
        base=summary.checkpoint(report, "base"),
        fitted=summary.checkpoint(report, "fitted"),
        names=(summary.name_of(report, "fitted"), summary.name_of(report, "base")),
        counts=summary.counts(report),
        headline=summary.headline(report),
        sentences=summary.sentences(report),
        notes=summary.notes(report),
        hyperfitting=opening.HYPERFITTING,
        outcome=opening.outcome(report),
        questions=opening.questions(report, {item.id for item in found if not item.missing}),
        places={item.claim.id: item for item in found if item.claim is not None},
    )


def page(
    name: str, report: Any, found: list[PageSection], title: str, files: Sequence[str], **more: Any
) -> str:
    """A page from a template.

    Model text is escaped by Jinja2's autoescape, shown through `bdi` and never a URL, an
    attribute other than a title, or code. The page can request nothing: its policy allows no
    source but itself.

    Args:
        name: the template.
        report: what it shows; has `schema_version` and `provenance`.
        found: its sections.
        title: of the window.
        files: where every figure behind the page is.
        more: what else the template needs.
    """
    pages = environment()
    pieces = {
        "css": source("style.css"),
        "boot_js": source("boot.js"),
        "page_js": source("page.js"),
        "plotly_js": _plotly(),
    }
    return pages.get_template(name).render(
        **{key: Markup(text) for key, text in pieces.items()},
        policy=policy(
            scripts=[pieces["boot_js"], pieces["plotly_js"], pieces["page_js"]],
            styles=[pieces["css"], *_RUNTIME_ATTRIBUTES, *_runtime_styles()],
        ),
        theme=embed({"light": template(), "dark": template(dark=True), "swaps": swaps()}),
        report=report,
        sections=found,
        title=visible(title),
        files=files,
        **more,
    )


def policy(scripts: list[str], styles: list[str]) -> str:
    """Content-Security-Policy: nothing but these inline scripts and styles, and own images.

    `unsafe-hashes` lets a listed hash stand for a style attribute too; no script attribute is
    among them, so event handlers stay dead.
    """

    def hashes(texts: list[str]) -> str:
        return " ".join(f"'{_digest(text)}'" for text in dict.fromkeys(texts))

    return (
        f"default-src 'none'; script-src {hashes(scripts)}; "
        f"style-src 'unsafe-hashes' {hashes(styles)}; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def embed(data: Any) -> Markup:
    """JSON for a `<script type="application/json">`, with nothing that could end it."""
    text = json.dumps(_rounded(data), separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def _rounded(data: Any) -> Any:
    """The same with floats of six significant digits."""
    if isinstance(data, float):
        return float(f"{data:.6g}")
    if isinstance(data, dict):
        return {key: _rounded(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_rounded(value) for value in data]
    return data


def _chart_data(chart: Chart) -> Markup:
    return embed({"variants": dict(chart.variants())})


def _chart_id(section: PageSection, chart: Chart) -> str:
    return f"{section.id}-{chart.name}"


@cache
def environment() -> Any:
    """Return the environment of the templates: text is escaped, what is not defined an error."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    made = Environment(
        loader=PackageLoader("hyperinterp.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(
        bdi=bdi, plain=html_text, visible=visible, cell=rendering.html_cell, number=numbers.number,
        count=numbers.count, compact=numbers.compact, seconds=numbers.seconds,
        marked=passages.marked, chart_data=_chart_data, measured=rendering.html_measured,
        absent=rendering.absent,
        effect_words=claims.effect_words, bound=claims.bound, decided=claims.decided,
        would_change=claims.would_change,
        sentence=claims.sentence, p_words=p_words, verdict_class=pictures.css_class,
        in_words=provenance.plain, named=provenance.named, recipe=provenance.recipe,
    )  # fmt: skip
    made.globals.update(
        asked=claims.asked, left_out=claims.left_out, unasked=claims.unasked,
        beaten=beside.beaten, caveat=beside.caveat,
        effect=pictures.effect, condition=pictures.condition, bar=pictures.bar,
        flat=provenance.flat, cost=provenance.cost, chart_id=_chart_id, icons=summary.ICONS,
    )  # fmt: skip
    return made


@cache
def source(name: str) -> str:
    """Return the text of a file beside the templates.

    Args:
        name: of the file.
    """
    loader = environment().loader
    assert loader is not None
    return loader.get_source(environment(), name)[0].replace("\r\n", "\n")


@cache
def _plotly() -> str:
    from plotly.offline import get_plotlyjs

    return get_plotlyjs().replace("\r\n", "\n").replace("</script", "<\\/script")


@cache
def _runtime_styles() -> tuple[str, ...]:
    """Style texts that plotly.js adds when it starts."""
    return tuple(_RUNTIME_STYLE.findall(_plotly()))
