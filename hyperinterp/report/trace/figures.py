"""Every measure against the training loss, and the dimension profile as training goes on."""

from collections.abc import Sequence

from hyperinterp.claims.spec import Measured
from hyperinterp.drawing.axes import NORM, depth_ticks, log_ticks
from hyperinterp.drawing.chart import (
    Chart,
    Choice,
    bars,
    curve,
    ribbon,
)
from hyperinterp.drawing.escape import label
from hyperinterp.drawing.names import metric_name
from hyperinterp.drawing.sketch import Sketch
from hyperinterp.drawing.subtitle import behind
from hyperinterp.drawing.theme import BASE, CONTROL, DELTA, EXTRA, FITTED, MUTED, SKY
from hyperinterp.drawing.words import explained
from hyperinterp.report.trace.data import TraceData, TracePoint
from hyperinterp.training_curve.figures import charts as curve_charts

MEASURES = {
    "ttr": "type-token ratio",
    "rep_4": "repeated 4-grams",
    "entropy": "entropy, nats",
    "heldout_loss": "held-out loss, nats",
    "override_rate": "overridden greedy choices",
    "deep_share": "overrides from base rank > 10",
    "distinct_2": "distinct 2-grams",
    "distinct_3": "distinct 3-grams",
    "rep_2": "repeated 2-grams",
    "rep_3": "repeated 3-grams",
}
_ALONG = (("loss", "training loss"), ("epoch", "epoch"))
_KINDS = (("value", "value"), ("change", "change since the base"))
_SHADES = (BASE, SKY, DELTA, EXTRA, CONTROL, FITTED)


def _placed(trace: TraceData, along: str) -> list[tuple[float, TracePoint]]:
    """The points with a position on the x axis, base first."""
    if along == "epoch":
        return [(float(point.epoch), point) for point in trace.points]
    return [
        (point.train_loss.value, point)
        for point in trace.points
        if point.train_loss.value is not None and point.train_loss.value > 0
    ]


def _axis(figure: Sketch, along: str, places: Sequence[float]) -> None:
    if along == "epoch":
        figure.xaxis(rangemode="tozero", zeroline=False)
        return
    figure.xaxis(**log_ticks(places), autorange="reversed", zeroline=False)


_TITLES = {
    "loss": "training loss, nats per token (log; training goes to the right)",
    "epoch": "epoch",
}


def _words(point: TracePoint) -> str:
    loss = point.train_loss.value
    told = "" if loss is None else f", loss {loss:.3g}"
    return label(" = ".join((point.name, *point.also))) + f", epoch {point.epoch}{told}"


def measures(trace: TraceData, measure: str, along: str, kind: str) -> Sketch | None:
    """One measure at every checkpoint, with the base's level."""
    found: list[tuple[float, TracePoint, Measured]] = []
    for place, point in _placed(trace, along):
        parts = point.observed.figures if kind == "value" else point.observed.changes
        if measure in parts and parts[measure].value is not None:
            found.append((place, point, parts[measure]))
    if not found:
        return None
    name = MEASURES[measure]
    figure = Sketch(_TITLES[along], name if kind == "value" else f"{name}, minus the base's")
    x, figures = [item[0] for item in found], [item[2] for item in found]
    figure.data.append(ribbon(x, figures, FITTED))
    figure.data.append(
        curve(x, figures, name, FITTED, [_words(p) for _, p, _ in found], showlegend=False)
    )
    own = trace.points[0].observed.figures.get(measure)
    if kind == "change":
        figure.level(0, "base")
    elif own is not None and own.value is not None:
        figure.level(own.value, "base")
        figure.yaxis(rangemode="tozero")
    _axis(figure, along, x)
    figure.sample = behind(figures, f"{len(found)} checkpoints")
    return figure


def growth(trace: TraceData, along: str) -> Sketch | None:
    """Growth since the base at the last block, the largest other block and the final norm."""
    found = [item for item in _placed(trace, along) if item[1].observed.growth is not None]
    if not found:
        return None
    figure = Sketch(_TITLES[along], f"{metric_name('pr_corrected')}, minus the base's")
    x = [place for place, _ in found]
    for field, name, colour in (
        ("final_norm", "final norm (post-norm)", CONTROL),
        ("largest_other", "largest other block", BASE),
        ("last_block", "last block", FITTED),
    ):
        figures, labels = [], []
        for _, point in found:
            assert point.observed.growth is not None
            figures.append(getattr(point.observed.growth, field))
            where = point.observed.growth.largest_block if field == "largest_other" else ""
            labels.append(_words(point) + (f"<br>{label(where)}" if where else ""))
        figure.data.append(ribbon(x, figures, colour))
        figure.data.append(curve(x, figures, name, colour, labels))
    figure.level(0, "base")
    _axis(figure, along, x)
    growths = (point.observed.growth for _, point in found)
    figures = [item.last_block for item in growths if item is not None]
    figure.sample = behind(figures, f"{len(found)} checkpoints")
    return figure


def profile(trace: TraceData, measure: str, kind: str) -> Sketch | None:
    """The dimension by block, one line per checkpoint, the final norm apart."""
    figure = Sketch("block outputs by block (pre-norm)", metric_name(measure))
    if kind == "change":
        figure.yaxis(title={"text": f"{metric_name(measure)}, minus the base's"})
    points = [p for p in trace.points if kind == "value" or p.observed.growth is not None]
    if not points:
        return None
    last, seen = 0, []
    for index, point in enumerate(points):
        colour = _SHADES[min(round(index * (len(_SHADES) - 1) / max(len(points) - 1, 1)), 5)]
        stream, norm = [], []
        for site in point.observed.sites:
            parts = site.figures if kind == "value" else site.changes
            if measure in parts:
                place = float(-1 if site.layer is None else site.layer)
                (stream if site.pre_norm else norm).append((place, site.label, parts[measure]))
                last = max(last, site.layer or 0)
        name = _words(point)
        rows = list(zip(*stream, strict=True))
        seen += rows[2]
        figure.data.append(
            curve(rows[0], rows[2], name, colour, [label(text) for text in rows[1]])
            | {"line": {"color": colour, "width": 2, "shape": "linear"}}
        )
        for _, text, item in norm:
            mark = curve([0], [item], name, colour, [label(text)], showlegend=False, xaxis="x2")
            figure.data.append(mark | {"mode": "markers", "error_y": bars([item], colour, 2.0)})
    figure.xaxis(
        **depth_ticks(last, embedded=True), domain=[0, 0.84], range=[-1.8, last + 0.8],
        zeroline=False, showgrid=False,
    )  # fmt: skip
    figure.xaxis(
        "xaxis2", domain=[0.87, 1], range=[-1, 1], tickmode="array", tickvals=[0],
        ticktext=[NORM], tickangle=0, showgrid=False, zeroline=False, anchor="y",
    )  # fmt: skip
    if kind == "change":
        figure.level(0, "", color=MUTED)
    figure.sample = behind(seen, f"{len(points)} checkpoints")
    return figure


def charts(trace: TraceData) -> tuple[Chart, ...]:
    """Every chart of a trace."""
    along = Choice("along", "Against", _ALONG)
    kind = Choice("kind", "Show", _KINDS)
    named = Choice("measure", "Measure", tuple(MEASURES.items()), menu=True)
    dimension = Choice(
        "measure", "Measure", tuple((key, metric_name(key)) for key in ("pr_corrected", "d90"))
    )
    interval = "95 %, jackknife over prompts; changes leave the same prompt out of both models."
    found = [
        Chart(
            "measures", *explained(__package__, "measures", interval=interval),
            lambda *keys: measures(trace, *keys), (named, along, kind), height=400,
        ),
        Chart(
            "growth", *explained(__package__, "growth", interval=interval),
            lambda key: growth(trace, key), (along,), height=400,
        ),
        Chart(
            "profile", *explained(__package__, "profile"),
            lambda *keys: profile(trace, *keys), (dimension, kind), height=460,
        ),
    ]  # fmt: skip
    if trace.training_curve is not None:
        marks = [(point.epoch, point.name) for point in trace.points[1:]]
        found += curve_charts(trace.training_curve, marks)
    return tuple(found)
