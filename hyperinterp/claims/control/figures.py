"""C9: the control checkpoint beside the base."""

from hyperinterp.claims.control import CLAIM
from hyperinterp.claims.control.result import ControlResult
from hyperinterp.drawing.chart import Chart, Choice, dots
from hyperinterp.drawing.names import measure_name
from hyperinterp.drawing.sketch import Sketch
from hyperinterp.drawing.subtitle import behind
from hyperinterp.drawing.theme import (
    BASE,
    CONTROL,
    FITTED,
)
from hyperinterp.drawing.words import explained


def control(block: ControlResult, quantity: str) -> Sketch:
    """Base against the control checkpoint on one measure; or the gap to the fitted model."""
    if quantity == "gain_gap":
        figure = Sketch("type-token ratio, fitted minus control")
        figure.data.append(dots([0], [block.gain_gap], "gap", FITTED, [""], showlegend=False))
        needed = CLAIM.rule.criteria[0].threshold
        figure.level(needed, f"{needed:g}", vertical=True)
        figure.rows(["fitted − control"])
        figure.xaxis(rangemode="tozero")
        figure.sample = behind([block.gain_gap])
        return figure
    pair = block.scores[quantity]
    figure = Sketch(measure_name(quantity))
    for row, (name, item, colour) in enumerate(
        (("base", pair.base, BASE), ("control", pair.fitted, CONTROL))
    ):
        figure.data.append(dots([row], [item], name, colour, [""], showlegend=False))
    figure.rows(["base", "control"])
    figure.xaxis(rangemode="tozero")
    figure.sample = behind([pair.base, pair.fitted])
    return figure


def charts(block: ControlResult) -> tuple[Chart, ...]:
    """The charts of C9."""
    options = (
        ("gain_gap", "gap to fitted"),
        *((key, measure_name(key)) for key in block.scores),
    )
    return (
        Chart(
            "control", *explained(__package__, "control"),
            lambda key: control(block, key), (Choice("quantity", "Quantity", options),), height=180,
        ),
    )  # fmt: skip
