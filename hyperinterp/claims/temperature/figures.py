"""C2: what a temperature can do."""

from typing import Any

from hyperinterp.claims.spec import Measured
from hyperinterp.claims.temperature.result import AT_GLOBAL, Arm, TemperatureResult
from hyperinterp.drawing.chart import (
    Chart,
    Choice,
    bars,
    dots,
    interval_curve,
    scatter,
)
from hyperinterp.drawing.escape import label
from hyperinterp.drawing.numbers import hover
from hyperinterp.drawing.sketch import Sketch
from hyperinterp.drawing.subtitle import behind
from hyperinterp.drawing.theme import BASE, CONTROL, FITTED, MUTED
from hyperinterp.drawing.words import explained

SCORES = (("ttr", "type-token ratio"), ("rep_4", "repeated 4-grams"))
_OTHERS = {
    "base": (CONTROL, ("triangle-up", "triangle-up-open", "square", "square-open", "cross")),
    "fitted": (FITTED, ("diamond", "diamond-open", "star")),
}
"""Colour of a model's points, and their symbols in order; their names stand in the legend."""
_HEIGHT = 430


def arms(block: TemperatureResult, measure: str) -> Sketch:
    """Every way of decoding, one row each."""
    figure = Sketch(dict(SCORES)[measure])
    names = [label(arm.name, 44) for arm in block.arms]
    for model, colour in (("base", BASE), ("fitted", FITTED)):
        rows = [row for row, arm in enumerate(block.arms) if arm.model == model]
        figures = [getattr(block.arms[row], measure) for row in rows]
        figure.data.append(dots(rows, figures, model, colour, [names[row] for row in rows]))
    figure.rows(names)
    figure.xaxis(rangemode="tozero")
    figure.sample = behind(getattr(arm, measure) for arm in block.arms)
    return figure


def _point(arm: Arm, measure: str, colour: str, symbol: str) -> dict[str, Any]:
    item: Measured = getattr(arm, measure)
    return scatter(
        x=[arm.entropy.value], y=[item.value], mode="markers", name=label(_name(arm)),
        error_y=bars([item], colour), marker={"color": colour, "size": 11, "symbol": symbol},
        customdata=[[label(arm.name), hover(item), hover(arm.entropy)]],
        hovertemplate="%{customdata[0]}<br>diversity %{customdata[1]}"
        "<br>entropy %{customdata[2]}<extra></extra>",
    )  # fmt: skip


def sweep(block: TemperatureResult, measure: str) -> Sketch | None:
    """Diversity over entropy: the base's curve as T varies, and where the fitted model is."""
    known = _drawable(block.sweep, measure)
    known.sort(key=lambda arm: arm.entropy.value or 0.0)
    if not known:
        return None
    figure = Sketch("mean entropy of the next token, nats", dict(SCORES)[measure])
    x = [arm.entropy.value or 0.0 for arm in known]
    figures: list[Measured] = [getattr(arm, measure) for arm in known]
    names = [label(arm.name) for arm in known]
    figure.data += interval_curve(x, figures, _range(known), BASE, names)
    drawn = {arm.name for arm in known} - {AT_GLOBAL}
    others = [arm for arm in _drawable(block.arms, measure) if arm.name not in drawn]
    symbols = {model: iter(found) for model, (_, found) in _OTHERS.items()}
    for arm in others:
        figure.data.append(
            _point(arm, measure, _OTHERS[arm.model][0], next(symbols[arm.model], "circle-open"))
        )
    figure.yaxis(rangemode="tozero")
    scored = behind(getattr(arm, measure) for arm in (*known, *others))
    read = behind(arm.entropy for arm in (*known, *others)).removeprefix("n = ")
    figure.sample = f"{scored}; entropies: {read}" if scored and read else scored
    return figure


def _drawable(items: tuple[Arm, ...], measure: str) -> list[Arm]:
    return [
        arm
        for arm in items
        if arm.entropy.value is not None and getattr(arm, measure).value is not None
    ]


def _range(line: list[Arm]) -> str:
    """The line's name in the legend: its temperatures, which rise with the entropy."""
    known = [arm.temperature for arm in line if arm.temperature is not None]
    if len(known) < 2:
        return "base sampled, T varied"
    return f"base sampled, T = {min(known):.3g} to {max(known):.3g}"


def _name(arm: Arm) -> str:
    """The name in the legend, where it is the matched temperature with its value."""
    if arm.name != AT_GLOBAL or arm.temperature is None:
        return arm.name
    return f"{arm.name} = {arm.temperature:.3g}"


def divergences(block: TemperatureResult) -> Sketch:
    """KL left at no, the global, and the best temperature of every context."""
    names = ["base as it is", "base at the global T*", "base at the best T of every context"]
    figure = Sketch("mean KL(fitted || base) that is left, nats")
    figures = [block.kl, block.kl_global, block.kl_context]
    figure.add(
        "bar",
        x=[item.value for item in figures], y=[0, 1, 2], orientation="h", width=0.5,
        marker={"color": [MUTED, BASE, BASE]}, error_x=bars(figures, MUTED, 2.0),
        customdata=[hover(item) for item in figures], showlegend=False,
        hovertemplate="%{customdata}<extra></extra>",
    )  # fmt: skip
    figure.rows(names)
    figure.sample = behind(figures)
    return figure


def charts(block: TemperatureResult) -> tuple[Chart, ...]:
    """The charts of C2."""
    measure = Choice("measure", "Measure", SCORES)
    return (
        Chart(
            "sweep",
            *explained(__package__, "sweep"),
            lambda key: sweep(block, key),
            (measure,),
            height=_HEIGHT,
        ),
        Chart(
            "arms",
            *explained(__package__, "arms"),
            lambda key: arms(block, key),
            (measure,),
            height=90 + 40 * len(block.arms),
        ),
        Chart(
            "divergence",
            *explained(__package__, "divergence"),
            lambda: divergences(block),
            height=220,
        ),
    )
