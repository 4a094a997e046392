"""A forest of one claim: its effect in every report."""

from hyperinterp.claims.spec import Claim, Measured
from hyperinterp.drawing.chart import Chart, Choice, dots
from hyperinterp.drawing.escape import label
from hyperinterp.drawing.numbers import short
from hyperinterp.drawing.sketch import Sketch
from hyperinterp.drawing.subtitle import behind
from hyperinterp.drawing.theme import FITTED
from hyperinterp.drawing.words import explained
from hyperinterp.report.many.result import Reports
from hyperinterp.report.many.tables import names


def forest(found: Reports, claim: str) -> Sketch | None:
    """One row per report that tested the claim, with the threshold."""
    tested = [(row, row.claims[claim]) for row in found.rows if claim in row.claims]
    tested = [(row, item) for row, item in tested if item.effect is not None]
    if not tested:
        return None
    figure = Sketch(tested[0][1].unit)
    effects = [_effect(item) for _, item in tested]
    labels = [label(row.name, 40, left=True) for row, _ in tested]
    rows = list(range(len(tested)))
    figure.data.append(dots(rows, effects, "effect", FITTED, labels, showlegend=False))
    figure.rows(labels)
    for threshold in {item.threshold for _, item in tested if item.threshold is not None}:
        figure.level(threshold, short(threshold), vertical=True)
    figure.sample = behind(effects, f"{len(tested)} reports")
    return figure


def _effect(claim: Claim) -> Measured:
    lo, hi = claim.interval or (None, None)
    return Measured(claim.effect, lo, hi, claim.n, reason="" if claim.effect is not None else "-")


def charts(found: Reports) -> tuple[Chart, ...]:
    """The forest, where any report tested anything."""
    options = tuple((name, name) for name in names(found) if forest(found, name) is not None)
    if not options:
        return ()
    return (
        Chart(
            "forest", *explained(__package__, "forest"), lambda key: forest(found, key),
            (Choice("claim", "Claim", options, menu=True),), height=90 + 26 * len(found.rows),
        ),
    )  # fmt: skip
