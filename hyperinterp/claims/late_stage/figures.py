"""C7: late-stage twins beside the fitted model."""

from collections import Counter

import numpy as np

from hyperinterp.claims.late_stage.result import LateStageResult, Twin
from hyperinterp.claims.spec import Measured
from hyperinterp.drawing.chart import Chart, Choice, bars, dots
from hyperinterp.drawing.escape import label
from hyperinterp.drawing.numbers import hover
from hyperinterp.drawing.sketch import Sketch
from hyperinterp.drawing.subtitle import behind
from hyperinterp.drawing.theme import (
    BASE,
    CONTROL,
    DELTA,
    EXTRA,
    FITTED,
    LINE,
    MUTED,
    SYMBOLS,
)
from hyperinterp.drawing.words import explained

TWIN_MEASURES = (
    ("ttr", "type-token ratio"),
    ("rep_4", "repeated 4-grams"),
    ("entropy", "entropy, nats"),
    ("heldout_loss", "held-out loss, nats"),
    ("last_delta", "growth at last block"),
)
_OVER_BLOCKS = (*TWIN_MEASURES, ("train_loss", "final training loss, nats"))
_ROLES = {
    "base": BASE,
    "fitted": FITTED,
    "late-stage": DELTA,
    "sweep": EXTRA,
    "control": CONTROL,
}
_STYLES = ("", "-open", "-dot", "-open-dot")
"""What tells the symbols of one role apart; names beside points would lie on the bars."""


def twins(block: LateStageResult, measure: str) -> Sketch:
    """One row per twin."""
    figure = Sketch(dict(TWIN_MEASURES)[measure])
    names = [label(twin.name, 32, left=True) for twin in block.twins]
    for role in dict.fromkeys(twin.role for twin in block.twins):
        rows = [row for row, twin in enumerate(block.twins) if twin.role == role]
        figures: list[Measured] = [getattr(block.twins[row], measure) for row in rows]
        labels = [names[row] for row in rows]
        figure.data.append(dots(rows, figures, label(role), _ROLES.get(role, MUTED), labels))
    figure.rows(names)
    figure.sample = behind(getattr(twin, measure) for twin in block.twins)
    return figure


def over_blocks(block: LateStageResult, measure: str) -> Sketch | None:
    """One measure against how many last blocks were trained; a line through the means per k."""
    known: list[tuple[Twin, Measured]] = []
    for twin in block.twins:
        found = getattr(twin, measure)
        item = Measured(found) if isinstance(found, float) else found
        if twin.trained_layers is not None and item is not None and item.value is not None:
            known.append((twin, item))
    ks = sorted({twin.trained_layers or 0 for twin, _ in known})
    if len(ks) < 2:
        return None
    figure = Sketch("last blocks trained", dict(_OVER_BLOCKS)[measure])
    means = [
        float(np.mean([item.value or 0.0 for twin, item in known if twin.trained_layers == k]))
        for k in ks
    ]
    figure.add(
        "scatter", x=ks, y=means, mode="lines", line={"color": LINE, "width": 2},
        hoverinfo="skip", showlegend=False,
    )  # fmt: skip
    for role in dict.fromkeys(twin.role for twin, _ in known):
        mine = [(twin, item) for twin, item in known if twin.role == role]
        colour, figures = _ROLES.get(role, MUTED), [item for _, item in mine]
        figure.add(
            "scatter",
            x=[twin.trained_layers for twin, _ in mine], y=[item.value for item in figures],
            mode="markers", name=label(role), error_y=bars(figures, colour, 2.0),
            marker={"color": colour, "size": 10, "symbol": SYMBOLS.get(colour, "circle")},
            customdata=[[label(twin.name, 32, left=True), hover(item)] for twin, item in mine],
            hovertemplate="%{customdata[0]}, %{x} blocks<br>%{customdata[1]}<extra></extra>",
        )  # fmt: skip
    base = getattr(block.twins[0], measure)
    if block.twins[0].role == "base" and isinstance(base, Measured) and base.value is not None:
        figure.level(base.value, "base")
    figure.xaxis(rangemode="tozero", tickmode="array", tickvals=ks, zeroline=False)
    figure.sample = behind((item for _, item in known), f"{len(known)} checkpoints")
    return figure


def apart(block: LateStageResult) -> Sketch | None:
    """Growth at the last block against diversity: do they go together?"""
    known = [t for t in block.twins if t.last_delta.value is not None and t.ttr.value is not None]
    if not known:
        return None
    figure = Sketch("growth at the last block (participation ratio)", "type-token ratio")
    places = Counter[str]()
    for twin in known:
        colour = _ROLES.get(twin.role, MUTED)
        symbol = SYMBOLS.get(colour, "circle") + _STYLES[places[twin.role] % len(_STYLES)]
        places[twin.role] += 1
        figure.add(
            "scatter",
            x=[twin.last_delta.value], y=[twin.ttr.value], mode="markers",
            name=label(twin.name, 24, left=True),
            marker={"color": colour, "size": 11, "symbol": symbol},
            error_x=bars([twin.last_delta], colour), error_y=bars([twin.ttr], colour),
            customdata=[[hover(twin.last_delta), hover(twin.ttr)]],
            hovertemplate="%{fullData.name}<br>growth %{customdata[0]}"
            "<br>diversity %{customdata[1]}<extra></extra>",
        )  # fmt: skip
    figure.yaxis(rangemode="tozero")
    figure.sample = behind((twin.ttr for twin in known), f"{len(known)} checkpoints")
    return figure


def _sweep_charts(block: LateStageResult) -> tuple[Chart, ...]:
    """The chart over k, where at least two numbers of trained blocks are known."""
    if over_blocks(block, "ttr") is None:
        return ()
    return (
        Chart(
            "blocks", *explained(__package__, "blocks"),
            lambda key: over_blocks(block, key),
            (Choice("measure", "Measure", _OVER_BLOCKS),), height=360,
        ),
    )  # fmt: skip


def charts(block: LateStageResult) -> tuple[Chart, ...]:
    """The charts of C7."""
    return (
        Chart(
            "twins", *explained(__package__, "twins"),
            lambda key: twins(block, key), (Choice("measure", "Measure", TWIN_MEASURES),),
            height=100 + 40 * len(block.twins),
        ),
        *_sweep_charts(block),
        Chart(
            "apart", *explained(__package__, "apart"),
            lambda: apart(block), height=380,
        ),
    )  # fmt: skip
