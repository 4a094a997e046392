"""The page's order: which claim, charts, tables and texts make a section."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from hyperinterp.claims import registry
from hyperinterp.claims.spec import Claim, ClaimSpec
from hyperinterp.drawing.chart import Chart
from hyperinterp.drawing.result import Result
from hyperinterp.drawing.table import Sheet
from hyperinterp.drawing.texts import Texts
from hyperinterp.drawing.words import terms
from hyperinterp.looks.registry import LOOKS
from hyperinterp.report.claims import unasked
from hyperinterp.report.data import ReportData

MAIN = 7
"""So many claims stand open on the page, by their ids: those that the papers make."""
NO_VERDICT = "Measured beside the claims, without a verdict."


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
        opened: so many figures, and as many tables, stand open and the others are folded; None
            for all.
        first: number of the first figure on the page.
        terms: what its terms mean: (anchor, term, meaning).
        source: where it is measured, and where it is documented, in words; "" without a claim.
    """

    id: str
    title: str
    question: str
    claim: Claim | None
    missing: str
    charts: tuple[Chart, ...]
    sheets: tuple[Sheet, ...]
    texts: Texts | None = None
    opened: int | None = None
    first: int = 1
    terms: tuple[tuple[str, str, str], ...] = ()
    source: tuple[str, ...] = ()

    @property
    def numbered(self) -> tuple[tuple[int, Chart], ...]:
        """The figures with their numbers on the page."""
        return tuple(enumerate(self.charts, start=self.first))

    @property
    def span(self) -> str:
        """The numbers of its figures, e.g. `, figures 3 to 5`; "" when it shows none."""
        count = 0 if self.missing else len(self.charts)
        last = self.first + count - 1
        if count < 2:
            return f", figure {last}" if count else ""
        return f", figures {self.first} {'and' if count == 2 else 'to'} {last}"

    @property
    def folded(self) -> str:
        """The folded part in words, e.g. `2 figures, 1 table`; "" when nothing is."""
        if self.opened is None:
            return ""
        counts = ("figure", len(self.charts[self.opened :])), ("table", self.shut_tables)
        return ", ".join(f"{count} {name}{'s' * (count > 1)}" for name, count in counts if count)

    @property
    def shut_tables(self) -> int:
        """The number of folded tables."""
        return 0 if self.opened is None else len(self.sheets[self.opened :])


def term_id(section: str, term: str) -> str:
    """Return the anchor of a term where a section explains it."""
    return f"term-{section}-{re.sub('[^a-z0-9]+', '-', term.lower()).strip('-')}"


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
            PageSection(
                part.id, part.title, part.question, None, missing, mine, (), own,
                opened=None if own else 0,
                terms=_terms(spec.package, part.id, part.id),
            )
        )  # fmt: skip
    main = PageSection(
        spec.slug,
        spec.title,
        spec.question,
        report.claims.get(spec.id),
        reason,
        tuple(chart for chart in charts if not chart.section),
        () if result is None else read_sheets(result),
        opened=int(spec.id in _main()),
        terms=_terms(spec.package, spec.slug),
        source=_source(spec),
    )
    yield from (*further, main) if spec.first else (main, *further)


def _terms(package: str, anchor: str, part: str = "") -> tuple[tuple[str, str, str], ...]:
    return tuple(
        (term_id(anchor, term), term, meaning) for term, meaning in terms(package, part).items()
    )


def _main() -> set[str]:
    return {spec.id for spec in registry.by_id(registry.CLAIMS)[:MAIN]}


def _source(spec: ClaimSpec) -> tuple[str, ...]:
    """Return the page of a claim and the folder that measures it; for others the folder alone."""
    folder = f"{spec.package.replace('.', '/')}/"
    own = spec in registry.CLAIMS
    return (f"docs/claims/{spec.id.lower()}.md", folder) if own else (folder,)


def with_numbers(found: Sequence[PageSection]) -> Iterator[PageSection]:
    """Yield the sections of a page, their figures numbered through it.

    Args:
        found: the sections in their order.
    """
    first = 1
    for section in found:
        yield replace(section, first=first)
        first += 0 if section.missing else len(section.charts)


def sections(report: ReportData) -> list[PageSection]:
    """Return every section between the claims and the provenance, without what was not asked."""
    found: list[PageSection] = []
    for spec in registry.every_claim():
        judged = report.claims.get(spec.id)
        if judged is None or not unasked(judged):
            found += _of(report, spec)
    return [*with_numbers([*found, *_looks(report), _training(report)])]


def _looks(report: ReportData) -> Iterator[PageSection]:
    """Sections of the measurements without a verdict that were asked for."""
    for look in LOOKS:
        result = report.results.get(look.slug)
        if result is not None or look.slug in report.absent:
            yield PageSection(
                look.slug,
                look.title,
                f"{look.question} {NO_VERDICT}",
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
        opened=0,
    )
