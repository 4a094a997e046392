"""C13: every placement's text beside the others."""

from hyperinterp.claims.placement import CLAIM
from hyperinterp.claims.placement.result import PlacementResult
from hyperinterp.claims.spec import Measured
from hyperinterp.drawing.chart import Chart, Choice, dots
from hyperinterp.drawing.escape import label
from hyperinterp.drawing.sketch import Sketch
from hyperinterp.drawing.subtitle import behind
from hyperinterp.drawing.theme import BASE, EXTRA, FITTED, MUTED
from hyperinterp.drawing.words import explained

MEASURES = (("ttr", "type-token ratio"), ("gain", "gain over base"), ("rep_4", "repeated 4-grams"))
_ASIDE = "set aside"
_ROLES = {"base": BASE, "fitted": FITTED, "elsewhere": EXTRA, _ASIDE: MUTED}


def placements(result: PlacementResult, measure: str) -> Sketch:
    """One row per twin, named by its blocks."""
    figure = Sketch(dict(MEASURES)[measure])
    shown = [twin for twin in result.twins if getattr(twin, measure).value is not None]
    names = [
        label(twin.name, 28, left=True) + (f", blocks {twin.blocks}" if twin.blocks else "")
        for twin in shown
    ]
    for role, colour in _ROLES.items():
        rows = [
            row for row, twin in enumerate(shown) if (_ASIDE if twin.apart else twin.role) == role
        ]
        found: list[Measured] = [getattr(shown[row], measure) for row in rows]
        if rows:
            labels = [names[row] for row in rows]
            figure.data.append(dots(rows, found, role, colour, labels))
    figure.rows(names)
    if measure == "gain":
        needed = CLAIM.rule.criteria[1].threshold
        figure.level(needed, f"{needed:g}", vertical=True)
    figure.xaxis(rangemode="tozero")
    figure.sample = behind(getattr(twin, measure) for twin in shown)
    return figure


def charts(result: PlacementResult) -> tuple[Chart, ...]:
    """The charts of C13."""
    return (
        Chart(
            "placements", *explained(__package__, "placements"),
            lambda key: placements(result, key), (Choice("measure", "Measure", MEASURES),),
            height=100 + 40 * len(result.twins),
        ),
    )  # fmt: skip
