"""Figures of the look at weights."""

from hyperinterp.claims.spec import Measured
from hyperinterp.drawing.axes import depth_ticks
from hyperinterp.drawing.chart import Chart, Choice, interval_curve, scatter
from hyperinterp.drawing.escape import label
from hyperinterp.drawing.sketch import Sketch
from hyperinterp.drawing.theme import FITTED
from hyperinterp.drawing.words import explained
from hyperinterp.looks.weights.result import WeightsResult
from hyperinterp.looks.weights.tables import words

MEASURES = {
    "overrides": "share of decisions overridden",
    "ttr": "type-token ratio",
    "growth": "growth of the participation ratio",
    "surprisal": "surprisal under the base, nats per token",
}
PATHS = {"alpha": "base + alpha * change", "rank": "change cut to its leading directions"}
ALONG = {
    "alpha": "alpha: 0 is the base, 1 the fitted model",
    "rank": "directions kept of each matrix's change",
}
SIZES = {
    "relative": "relative change",
    "stable_rank": "stable rank of the change",
    "rank": "rank of the change",
    "intruders": "intruders among ten directions",
}


def path(result: WeightsResult, measure: str, way: str) -> Sketch | None:
    """One quantity along one path."""
    points = [item for item in result.points if item.path == way]
    if not points:
        return None
    figure = Sketch(ALONG[way], MEASURES[measure])
    found = [getattr(item, measure) for item in points]
    figures = [item if isinstance(item, Measured) else Measured(item) for item in found]
    names = [label(words(item)) for item in points]
    x = [item.value for item in points]
    figure.data += interval_curve(x, figures, "base with a part of the change", FITTED, names)
    return figure


def depth(result: WeightsResult, size: str) -> Sketch | None:
    """One quantity of every matrix, by block."""
    found = [
        (item, getattr(item, size))
        for item in result.matrices
        if item.layer is not None and getattr(item, size) is not None
    ]
    if not found:
        return None
    figure = Sketch("block", SIZES[size])
    figure.data.append(
        scatter(
            x=[item.layer for item, _ in found],
            y=[value for _, value in found],
            mode="markers", name="matrices", marker={"color": FITTED, "size": 6},
            customdata=[label(item.name) for item, _ in found],
            hovertemplate="%{customdata}: %{y:.3g}<extra></extra>",
        )
    )  # fmt: skip
    figure.xaxis(**depth_ticks(max(item.layer or 0 for item, _ in found)))
    return figure


def charts(result: WeightsResult) -> tuple[Chart, ...]:
    """Return the figures, the main one first."""
    measure = Choice("measure", "Quantity", tuple(MEASURES.items()))
    way = Choice("way", "Path", tuple(PATHS.items()))
    size = Choice("size", "Quantity", tuple(SIZES.items()))
    found: list[Chart] = []
    if result.points:
        found.append(
            Chart(
                "path", *explained(__package__, "path"),
                lambda name, kind: path(result, name, kind), (measure, way), height=380,
            )
        )  # fmt: skip
    if any(item.layer is not None for item in result.matrices):
        found.append(
            Chart(
                "depth", *explained(__package__, "depth"),
                lambda name: depth(result, name), (size,), height=360,
            )
        )  # fmt: skip
    return tuple(found)
