"""Figures of the training curve."""

from collections.abc import Sequence

from hyperinterp.drawing.axes import log_ticks
from hyperinterp.drawing.chart import Chart, Choice, scatter
from hyperinterp.drawing.escape import label
from hyperinterp.drawing.numbers import number
from hyperinterp.drawing.sketch import Sketch
from hyperinterp.drawing.theme import CONTROL, FITTED, MUTED, SYMBOLS
from hyperinterp.drawing.words import explained
from hyperinterp.training_curve.result import TrainingCurve

_NAMES = {
    "loss": "loss",
    "entropy": "entropy, nats",
    "ttr": "type-token ratio",
    "rep_4": "repeated 4-grams",
}


def _line(curve: TrainingCurve, field: str, name: str, colour: str) -> dict:
    epochs = [item for item in curve.epochs if getattr(item, field) is not None]
    values = [getattr(item, field) for item in epochs]
    return scatter(
        x=[item.epoch for item in epochs], y=values, name=name, mode="lines+markers",
        line={"color": colour, "width": 2},
        marker={"color": colour, "size": 5.5, "symbol": SYMBOLS.get(colour, "circle")},
        customdata=[[number(value, 4)] for value in values],
        hovertemplate="epoch %{x}<br>%{fullData.name}: %{customdata[0]}<extra></extra>",
    )  # fmt: skip


def over_epochs(
    curve: TrainingCurve, measure: str, marks: Sequence[tuple[int, str]] = ()
) -> Sketch | None:
    """One figure of the log over the epochs; `marks` are (epoch, words) of checkpoints."""
    known = [item for item in curve.epochs if getattr(item, measure) is not None]
    if not known:
        return None
    figure = Sketch("epoch", "loss, nats per token (log)" if measure == "loss" else _NAMES[measure])
    if measure == "loss":
        figure.data.append(_line(curve, "loss", "training loss", FITTED))
        figure.data.append(_line(curve, "heldout_loss", "validation loss", CONTROL))
        figure.data = [trace for trace in figure.data if trace["x"]]
        figure.yaxis(**log_ticks(value for trace in figure.data for value in trace["y"]))
    else:
        figure.data.append(_line(curve, measure, _NAMES[measure], FITTED))
        figure.yaxis(rangemode="tozero")
    for epoch, words in marks:
        figure.level(epoch, label(words, 14), vertical=True, color=MUTED)
    figure.sample = f"n = {len(known)} epochs"
    return figure


def charts(curve: TrainingCurve, marks: Sequence[tuple[int, str]] = ()) -> tuple[Chart, ...]:
    """Draw a training curve; none when no epoch was whole."""
    fields = [
        name for name in _NAMES if any(getattr(item, name) is not None for item in curve.epochs)
    ]
    if not fields:
        return ()
    options = tuple((name, _NAMES[name]) for name in fields)
    return (
        Chart(
            "epochs", *explained(__package__, "epochs"),
            lambda key: over_epochs(curve, key, marks),
            (Choice("measure", "Measure", options),), height=330,
        ),
    )  # fmt: skip
