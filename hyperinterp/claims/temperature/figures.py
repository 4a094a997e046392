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
from hyperinterp.drawing.theme import BASE, CONTROL, FITTED, MUTED, SYMBOLS
from hyperinterp.drawing.words import explained

SCORES = (("ttr", "type-token ratio"), ("rep_4", "repeated 4-grams"))
_HEIGHT = 430
_PLOT, _APART = 0.62 * _HEIGHT, 13  # pixels: the plot without its margins; from name to name


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


def _points(items: list[Arm], measure: str, colour: str, name: str) -> dict[str, Any]:
    figures = [getattr(arm, measure) for arm in items]
    return scatter(
        x=[arm.entropy.value for arm in items], y=[item.value for item in figures],
        mode="markers", name=name, error_y=bars(figures, colour),
        marker={"color": colour, "size": 11, "symbol": SYMBOLS.get(colour, "circle")},
        customdata=[
            [label(arm.name), hover(item), hover(arm.entropy)]
            for arm, item in zip(items, figures, strict=True)
        ],
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
    figure.data += interval_curve(x, figures, "base sampled, T varied", BASE, names)
    drawn = {arm.name for arm in known}
    others = [arm for arm in _drawable(block.arms, measure) if arm.name not in drawn]
    for model, colour in (("base", CONTROL), ("fitted", FITTED)):
        items = [arm for arm in others if arm.model == model]
        words = "base, other ways of decoding" if model == "base" else "fitted"
        figure.data.append(_points(items, measure, colour, words))
    figure.yaxis(rangemode="tozero")
    _name_points(figure, known, others, measure)
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


def _temperature(arm: Arm) -> str:
    name = "T*" if arm.name == AT_GLOBAL else "T"
    return "" if arm.temperature is None else f"{name} = {arm.temperature:.3g}"


def _short(arm: Arm) -> str:
    """The name without what the colour says already, e.g. "greedy" or "per-context T*"."""
    return arm.name.removeprefix(f"{arm.model} ").removeprefix("sampled at ")


def _name_points(figure: Sketch, line: list[Arm], others: list[Arm], measure: str) -> None:
    """Words beside the points, the fitted model's on the outer side; moved apart where needed.

    The temperatures stand off their line, which may rise or fall.
    """
    spots = {
        arm.name: (getattr(arm, measure).value, arm.entropy.value or 0.0)
        for arm in (*line, *others)
    }
    low, high = min(x for _, x in spots.values()), max(x for _, x in spots.values())
    span, top = high - low or 1.0, max(y for y, _ in spots.values()) or 1.0
    off = _APART if spots[line[-1].name][0] < spots[line[0].name][0] else -_APART
    texts = {arm.name: _temperature(arm) for arm in line} | {a.name: _short(a) for a in others}
    placed: list[tuple[float, bool, float]] = []
    outer: set[bool] = set()
    for arm in sorted((*line, *others), key=lambda arm: spots[arm.name], reverse=True):
        y, x = spots[arm.name]
        left = (x < (low + high) / 2) == (arm.model == "fitted")
        own = y / top * _PLOT
        height = own + (-off if left else off) * (arm in line)
        for near, side, taken in placed:
            if side == left and abs(near - x) < 0.15 * span:
                height = min(height, taken - _APART)
        placed.append((x, left, height))
        if arm.model == "fitted":
            outer.add(left)
        figure.layout["annotations"].append(
            {
                "x": x, "y": y, "text": label(texts[arm.name]),
                "xanchor": "right" if left else "left", "font": {"size": 10.5, "color": MUTED},
                **_lead(height - own, left=left),
            }
        )  # fmt: skip
    room = {side: (0.3 if side in outer else 0.12) * span for side in (True, False)}
    figure.xaxis(range=[low - room[True], high + room[False]])


def _lead(rise: float, *, left: bool) -> dict[str, Any]:
    """Place a name beside its point, or lead a thin line from it where it stands off."""
    side = -1 if left else 1
    if abs(rise) <= _APART:
        return {"showarrow": False, "xshift": 9 * side, "yshift": rise}
    return {
        "showarrow": True, "ax": 14 * side, "ay": -rise, "arrowhead": 0, "arrowwidth": 0.8,
        "arrowcolor": MUTED, "standoff": 5,
    }  # fmt: skip


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
