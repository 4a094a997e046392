"""The page's order: which block, claim, charts and tables make a section."""

from dataclasses import dataclass

from hyperinterp.analyses.results import Claim
from hyperinterp.drawing.chart import Chart
from hyperinterp.report.claims import unasked
from hyperinterp.report.figures import charts
from hyperinterp.report.schema import Report
from hyperinterp.report.summary import BLOCK_CLAIMS
from hyperinterp.report.views import VIEWS, View

_LENS = ("lens", "overtake", "trajectory")
_PLAN = (
    ("generations", "What they write", "diversity",
     "Greedy continuations of the same held-out prompts, side by side."),
    ("diversity", "Diversity", "diversity",
     "Is the fitted model's greedy text more diverse than the base's?"),
    ("geometry", "Geometry", "geometry",
     "Does the feature space grow, and where in depth?"),
    ("ranks", "Ranks", "ranks",
     "Whose token wins, from which base rank, and does it depend on the context?"),
    ("lens", "Logit lens", "ranks",
     "Where in depth does the new choice rise?"),
    ("transplant", "Transplants", "transplant",
     "Which block's function causes the change?"),
    ("temperature", "Temperature", "temperature",
     "Could a temperature of the base do the same?"),
    ("static_bias", "Static bias", "static_bias",
     "Could a fixed re-weighting of the vocabulary do the same?"),
    ("sufficiency", "Late-stage twin", "sufficiency",
     "Is training the last blocks enough?"),
    ("quotation", "Quotation", "quotation",
     "Is the diversity copied from the training text?"),
    ("control", "Control", "control",
     "Does the control checkpoint do the same?"),
    ("course", "Training", "course",
     "How did the training of the fitted model go?"),
)  # fmt: skip


@dataclass(frozen=True)
class Section:
    """One section of the page.

    Attributes:
        id: anchor.
        title: heading.
        question: what it asks.
        block: name of the block in the report.
        claim: the claim it belongs to; None when it only illustrates.
        missing: why there is nothing to show; "" when there is.
        charts: figures, in order.
        views: tables, in order.
    """

    id: str
    title: str
    question: str
    block: str
    claim: Claim | None
    missing: str
    charts: tuple[Chart, ...]
    views: tuple[View, ...]


def _parts(report: Report, name: str, block: str) -> tuple[tuple[Chart, ...], tuple[View, ...]]:
    found = getattr(report, block)
    if found is None or name == "generations":
        return (), ()
    drawn = charts(found)
    if block == "ranks":
        drawn = tuple(chart for chart in drawn if (chart.name in _LENS) == (name == "lens"))
    return drawn, () if name == "lens" else tuple(view for view in VIEWS[block](found) if view.rows)


def _missing(report: Report, name: str, block: str) -> str:
    if getattr(report, block) is None:
        return report.absent.get(block, "not run")
    if name == "lens" and (report.ranks is None or report.ranks.lens is None):
        return "no decision was overridden, so there is none to follow"
    return ""


def sections(report: Report) -> list[Section]:
    """Every section between the claims and the provenance, but of what was not asked for."""
    found: list[Section] = []
    for name, title, block, question in _PLAN:
        judged = report.claims.get(BLOCK_CLAIMS.get(block, ""))
        if judged is not None and unasked(judged):
            continue
        drawn, views = _parts(report, name, block)
        claim = judged if name == block else None
        missing = _missing(report, name, block)
        found.append(Section(name, title, question, block, claim, missing, drawn, views))
    return found
