"""A chart of the report: one plotly figure per choice, and how to read it."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from hyperinterp.analyses.results import Measured
from hyperinterp.errors import InputRefused
from hyperinterp.report.escape import label
from hyperinterp.report.figures.sketch import Sketch
from hyperinterp.report.figures.theme import CLEAR, SYMBOLS, faint
from hyperinterp.report.numbers import hover

Numbers = Sequence[float] | Sequence[int]
Draw = Callable[..., Sketch | None]


@dataclass(frozen=True)
class Reading:
    """How to read a chart, in four short answers.

    Attributes:
        shows: what is plotted.
        unit: of which quantity, in which unit.
        interval: what the intervals are; why there are none.
        against: what would count against the claim.
    """

    shows: str
    unit: str
    interval: str
    against: str


@dataclass(frozen=True)
class Choice:
    """One switch of a chart.

    Attributes:
        name: keyword, e.g. "measure".
        label: words beside the switch.
        options: (key, words) pairs; the first is what is shown at first.
        menu: a drop-down menu instead of buttons.
    """

    name: str
    label: str
    options: tuple[tuple[str, str], ...]
    menu: bool = False

    @property
    def keys(self) -> tuple[str, ...]:
        """The option keys."""
        return tuple(key for key, _ in self.options)


@dataclass(frozen=True)
class Chart:
    """One figure of a block, drawn on demand.

    Attributes:
        name: e.g. "profile".
        title: words above the figure.
        reading: how to read it.
        draw: one key per choice, in order, to a figure; None when that was not computed.
        choices: the switches.
        height: in pixels.
    """

    name: str
    title: str
    reading: Reading
    draw: Draw
    choices: tuple[Choice, ...] = ()
    height: int = 380

    def figure(self, **chosen: str) -> go.Figure:
        """The figure for some choices; the others stay at their first option.

        Raises:
            InputRefused: an unknown choice or option, or one that was not computed.
        """
        known = {choice.name: choice.keys for choice in self.choices}
        for name, key in chosen.items():
            if name not in known:
                raise InputRefused(
                    f"{self.name}: expected a choice of {list(known)}, found {name!r}"
                )
            if key not in known[name]:
                raise InputRefused(f"{name}: expected one of {list(known[name])}, found {key!r}")
        figure = self.draw(*(chosen.get(name, keys[0]) for name, keys in known.items()))
        if figure is None:
            raise InputRefused(f"{self.name}: not computed for {chosen}")
        return figure.figure(self.title, self.height)

    def variants(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Every combination of choices that was computed: (keys joined by `|`, plain figure)."""
        for keys in itertools.product(*(choice.keys for choice in self.choices)):
            figure = self.draw(*keys)
            if figure is not None:
                yield "|".join(keys), figure.spec(self.height)


def scatter(**trace: Any) -> dict[str, Any]:
    """A scatter trace."""
    return {"type": "scatter", **trace}


def bars(figures: Sequence[Measured], colour: str, thickness: float = 1.5) -> dict[str, Any]:
    """Plotly error bars from the intervals; none where there is none."""
    plus, minus = [], []
    for item in figures:
        known = item.value is not None and item.hi is not None and item.lo is not None
        plus.append(max(item.hi - item.value, 0.0) if known else None)  # type: ignore[operator]
        minus.append(max(item.value - item.lo, 0.0) if known else None)  # type: ignore[operator]
    return {
        "type": "data", "symmetric": False, "array": plus, "arrayminus": minus,
        "color": colour, "thickness": thickness, "width": 0,
    }  # fmt: skip


def ribbon(x: Numbers, figures: Sequence[Measured], colour: str) -> dict[str, Any]:
    """A shaded band between the interval ends; gaps where there is no interval."""
    xs: list[float | None] = []
    ys: list[float | None] = []
    run: list[tuple[float, float, float]] = []

    def close() -> None:
        if len(run) > 1:
            xs.extend([*(p[0] for p in run), *(p[0] for p in reversed(run)), None])
            ys.extend([*(p[1] for p in run), *(p[2] for p in reversed(run)), None])
        run.clear()

    for position, item in zip(x, figures, strict=True):
        if item.lo is None or item.hi is None:
            close()
        else:
            run.append((position, item.lo, item.hi))
    close()
    return scatter(
        x=xs, y=ys, fill="toself", fillcolor=faint(colour), line={"width": 0, "color": CLEAR},
        mode="lines", hoverinfo="skip", showlegend=False,
    )  # fmt: skip


def curve(
    x: Numbers,
    figures: Sequence[Measured],
    name: str,
    colour: str,
    labels: Sequence[str],
    **style: Any,
) -> dict[str, Any]:
    """A line with markers; the hover label says the label, the figure and its interval."""
    return scatter(
        x=list(x),
        y=[item.value for item in figures],
        name=name,
        mode="lines+markers",
        line={"color": colour, "width": 2},
        marker={"color": colour, "size": 5.5, "symbol": SYMBOLS.get(colour, "circle")},
        customdata=[[text, hover(item)] for text, item in zip(labels, figures, strict=True)],
        hovertemplate="%{customdata[0]}<br>%{fullData.name}: %{customdata[1]}<extra></extra>",
        **style,
    )


def dots(
    rows: Numbers,
    figures: Sequence[Measured],
    name: str,
    colour: str,
    labels: Sequence[str],
    **style: Any,
) -> dict[str, Any]:
    """Horizontal dots with intervals, one per row."""
    return scatter(
        x=[item.value for item in figures],
        y=list(rows),
        name=name,
        mode="markers",
        marker={"color": colour, "size": 10, "symbol": SYMBOLS.get(colour, "circle")},
        error_x=bars(figures, colour, 2.0),
        customdata=[[text, hover(item)] for text, item in zip(labels, figures, strict=True)],
        hovertemplate="%{customdata[0]}<br>%{fullData.name}: %{customdata[1]}<extra></extra>",
        **style,
    )


def depth_ticks(last: int, *, embedded: bool = False) -> dict[str, Any]:
    """About seven ticks over blocks 0 to `last`, the last one always; the embedding at -1."""
    step = max(1, round(last / 6))
    shown = [layer for layer in range(0, last + 1, step) if last - layer >= step * 0.6] + [last]
    texts = [str(layer) for layer in shown]
    if embedded:
        if step > 1 or last > 8:
            shown, texts = shown[1:], texts[1:]
        shown, texts = [-1, *shown], ["emb", *texts]
    return {"tickmode": "array", "tickvals": shown, "ticktext": texts, "tickangle": 0}


def label_ticks(labels: Sequence[str]) -> dict[str, Any]:
    """About eight ticks over positions 0, 1, ... that carry site labels, the ends always."""
    last = len(labels) - 1
    step = max(1, round(last / 6))
    start = 1 if labels[:1] == ["embedding"] and last > 1 else 0
    shown = [i for i in range(start, last, step) if last - i >= step * 0.7 and i - start >= step]
    shown = [0, *shown, last] if last else [0]
    short = [labels[i].removeprefix("block ").replace("embedding", "emb") for i in shown]
    texts = [label(text, 12).replace(" ", "<br>") for text in short]
    return {"tickmode": "array", "tickvals": shown, "ticktext": texts, "tickangle": 0}
