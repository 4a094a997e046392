"""The page's order: which claim, charts, tables and texts make a section."""

from collections.abc import Iterator
from dataclasses import dataclass

from hyperinterp.claims import registry
from hyperinterp.claims.spec import Claim, ClaimSpec
from hyperinterp.drawing.chart import Chart
from hyperinterp.drawing.result import Result
from hyperinterp.drawing.table import Sheet
from hyperinterp.drawing.texts import Texts
from hyperinterp.looks.registry import LOOKS
from hyperinterp.report.claims import unasked
from hyperinterp.report.data import ReportData


@dataclass(frozen=True)
class PageSection:
    """One section of the page.

    Attributes:
        id: anchor.
        title: heading.
        question: what it asks.
        claim: the claim it belongs to; None when it only illustrates.
        missing: why there is nothing to show; "" when there is.
        charts: figures, in order.
        sheets: tables, in order.
        texts: texts side by side; None without any.
    """

    id: str
    title: str
    question: str
    claim: Claim | None
    missing: str
    charts: tuple[Chart, ...]
    sheets: tuple[Sheet, ...]
    texts: Texts | None = None


def texts_of(report: ReportData, spec: ClaimSpec) -> Texts | None:
    """Return the texts of a claim; None where it has none."""
    find, result = spec.part("texts", "texts"), report.results.get(spec.slug)
    return None if find is None or result is None else find(result, report.results)


def read_sheets(result: Result) -> tuple[Sheet, ...]:
    """Return every table of a result as it is read."""
    return tuple(sheet for item in result.tables() for sheet in item.sheets())


def _of(report: ReportData, spec: ClaimSpec) -> Iterator[PageSection]:
    """A claim's own section and its further ones."""
    result = report.results.get(spec.slug)
    reason = "" if result is not None else report.absent.get(spec.slug, "not run")
    charts = () if result is None else result.charts()
    texts = texts_of(report, spec)
    further = []
    for part in spec.sections:
        mine = tuple(chart for chart in charts if chart.section == part.id)
        own = texts if texts is not None and texts.section == part.id else None
        missing = reason or ("" if mine or own else part.nothing)
        further.append(
            PageSection(part.id, part.title, part.question, None, missing, mine, (), own)
        )
    main = PageSection(
        spec.slug,
        spec.title,
        spec.question,
        report.claims.get(spec.id),
        reason,
        tuple(chart for chart in charts if not chart.section),
        () if result is None else read_sheets(result),
    )
    yield from (*further, main) if spec.first else (main, *further)


def sections(report: ReportData) -> list[PageSection]:
    """Return every section between the claims and the provenance, without what was not asked."""
    found: list[PageSection] = []
    for spec in registry.every_claim():
        judged = report.claims.get(spec.id)
        if judged is None or not unasked(judged):
            found += _of(report, spec)
    return [*found, *_looks(report), _training(report)]


def _looks(report: ReportData) -> Iterator[PageSection]:
    """Sections of the measurements without a verdict that were asked for."""
    for look in LOOKS:
        result = report.results.get(look.slug)
        if result is not None or look.slug in report.absent:
            yield PageSection(
                look.slug,
                look.title,
                look.question,
                None,
                report.absent.get(look.slug, ""),
                () if result is None else result.charts(),
                () if result is None else read_sheets(result),
            )


def _training(report: ReportData) -> PageSection:
    curve = report.training_curve
    missing = "" if curve is not None else report.absent.get("training_curve", "not run")
    return PageSection(
        "training",
        "Training",
        "How did the training of the fitted model go?",
        None,
        missing,
        () if curve is None else curve.charts(),
        () if curve is None else read_sheets(curve),
    )
