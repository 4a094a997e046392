"""Figures of the look at weights."""

from hyperinterp.claims.spec import Measured
from hyperinterp.drawing.axes import depth_ticks
from hyperinterp.drawing.chart import Chart, Choice, curve, interval_curve, scatter
from hyperinterp.drawing.escape import label
from hyperinterp.drawing.sketch import Sketch
from hyperinterp.drawing.theme import BASE, CONTROL, DELTA, FITTED
from hyperinterp.drawing.words import explained
from hyperinterp.looks.weights.result import PathPoint, WeightsResult
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


COLOURS = {"overrides": FITTED, "ttr": BASE, "growth": DELTA, "surprisal": CONTROL}


def _value(point: PathPoint, measure: str) -> float | None:
    found = getattr(point, measure)
    return found.value if isinstance(found, Measured) else found


def shares(result: WeightsResult, measure: str) -> list[tuple[PathPoint, float]]:
    """Return how far each point is on the way from base to fitted; none where these are alike.

    Args:
        result: with the points.
        measure: a key of `MEASURES`.
    """
    ends = {item.value: _value(item, measure) for item in result.points if item.path == "alpha"}
    start, end = ends.get(0.0), ends.get(1.0)
    if start is None or end is None or abs(end - start) < 1e-9:
        return []
    found = [(item, _value(item, measure)) for item in result.points]
    return [(item, (value - start) / (end - start)) for item, value in found if value is not None]


def together(result: WeightsResult, way: str) -> Sketch:
    """Every quantity along one path, as a share of its change from base to fitted."""
    figure = Sketch(ALONG[way], "share of the change from base to fitted")
    for measure, colour in COLOURS.items():
        found = [(point, share) for point, share in shares(result, measure) if point.path == way]
        names = [label(words(point)) for point, _ in found]
        values = [Measured(share) for _, share in found]
        x = [point.value for point, _ in found]
        if found:
            figure.data.append(curve(x, values, MEASURES[measure], colour, names))
    figure.level(1.0, "fitted")
    return figure


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
        told = explained(__package__, "together")
        found.append(
            Chart("together", *told, lambda kind: together(result, kind), (way,), height=380)
        )
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
