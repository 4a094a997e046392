"""Figures of the look at finer causes."""

from hyperinterp.drawing.axes import depth_ticks
from hyperinterp.drawing.chart import Chart, Choice, bars, interval_curve
from hyperinterp.drawing.escape import label
from hyperinterp.drawing.numbers import hover
from hyperinterp.drawing.sketch import Sketch
from hyperinterp.drawing.theme import BASE, FITTED, MUTED
from hyperinterp.drawing.words import explained
from hyperinterp.looks.causes.result import CausesResult

MEASURES = {"recovered_kl": "share of KL recovered", "made": "share of overrides made"}
COLOURS = {"attention": BASE, "MLP": FITTED}


def components(result: CausesResult) -> Sketch | None:
    """The parts of attention and MLP of each block in the change of the logit difference."""
    figure = Sketch("block", "change of the logit difference")
    inside = [item for item in result.components if item.layer is not None]
    if not inside:
        return None
    for kind, colour in COLOURS.items():
        items = sorted((i for i in inside if i.kind == kind), key=lambda item: item.layer or 0)
        figures = [item.change for item in items]
        figure.add(
            "bar",
            x=[item.layer for item in items], y=[item.value for item in figures], name=kind,
            marker={"color": colour}, error_y=bars(figures, MUTED, 1.0),
            customdata=[
                [label(item.component), hover(value)]
                for item, value in zip(items, figures, strict=True)
            ],
            hovertemplate="%{customdata[0]}<br>%{customdata[1]}<extra></extra>",
        )  # fmt: skip
    figure.xaxis(**depth_ticks(max(item.layer or 0 for item in inside)))
    return figure


def shifts(result: CausesResult, measure: str) -> Sketch | None:
    """A static shift of the stream at each block."""
    if not result.shifts:
        return None
    figure = Sketch("block", MEASURES[measure])
    names = [label(f"block {item.layer}") for item in result.shifts]
    figures = [getattr(item, measure) for item in result.shifts]
    x = [float(item.layer) for item in result.shifts]
    figure.data += interval_curve(x, figures, "base + mean difference", FITTED, names)
    figure.xaxis(**depth_ticks(max(item.layer for item in result.shifts)))
    return figure


def charts(result: CausesResult) -> tuple[Chart, ...]:
    """Return the figures, the main one first."""
    measure = Choice("measure", "Quantity", tuple(MEASURES.items()))
    found: list[Chart] = []
    if components(result) is not None:
        told = explained(__package__, "components")
        found.append(Chart("components", *told, lambda: components(result), (), height=380))
    found.append(
        Chart(
            "shifts", *explained(__package__, "shifts"),
            lambda name: shifts(result, name), (measure,), height=360,
        )
    )  # fmt: skip
    return tuple(found)
