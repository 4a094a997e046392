"""A chart of the report: one plotly figure per choice, and how to read it."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hyperinterp.claims.spec import Measured
from hyperinterp.drawing.numbers import hover
from hyperinterp.drawing.sketch import Sketch
from hyperinterp.drawing.theme import CLEAR, SYMBOLS, faint
from hyperinterp.errors import InputRefused

if TYPE_CHECKING:
    import plotly.graph_objects as go

Numbers = Sequence[float] | Sequence[int]
Draw = Callable[..., Sketch | None]


@dataclass(frozen=True)
class Explanation:
    """A reader's guide to a chart, in four short answers.

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
        explanation: how to read it.
        draw: one key per choice, in order, to a sketch; None when that was not computed.
        choices: the switches.
        height: in pixels.
        section: id of the further section that it stands in; "" for the claim's own.
    """

    name: str
    title: str
    explanation: Explanation
    draw: Draw
    choices: tuple[Choice, ...] = ()
    height: int = 380
    section: str = ""

    def figure(self, **chosen: str) -> "go.Figure":
        """The figure for some choices; the others stay at their first option.

        Raises:
            InputRefused: an unknown choice or option, or one that was not computed.
        """
        known = {choice.name: choice.keys for choice in self.choices}
        for name, key in chosen.items():
            if name not in known:
                raise InputRefused(
                    f"{self.name}: expected a choice of {list(known)}, found {name!r}; name one"
                )
            if key not in known[name]:
                raise InputRefused(f"{name}: expected one of {list(known[name])}, found {key!r}")
        keys = tuple(chosen.get(name, options[0]) for name, options in known.items())
        sketch = self._drawn(keys)
        if sketch is None:
            raise InputRefused(f"{self.name}: not computed for {chosen}; choose another")
        return sketch.figure(self.title, self.height, self.subtitle(keys, sketch))

    def variants(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Every combination of choices that was computed: (keys joined by `|`, plain figure)."""
        for keys in itertools.product(*(choice.keys for choice in self.choices)):
            sketch = self._drawn(keys)
            if sketch is not None:
                yield "|".join(keys), sketch.spec(self.height, self.subtitle(keys, sketch))

    def subtitle(self, keys: Sequence[str], sketch: Sketch) -> tuple[str, ...]:
        """Return the subtitle of a drawn figure: the option of every switch, and its sample."""
        chosen = zip(self.choices, keys, strict=True)
        words = [f"{item.label.lower()}: {dict(item.options)[key]}" for item, key in chosen]
        return (*words, sketch.sample)

    def _drawn(self, keys: Sequence[str]) -> Sketch | None:
        """The sketch of some keys; None when it was not computed or holds no finite figure."""
        sketch = self.draw(*keys)
        return sketch if sketch is not None and sketch.shows() else None


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


def interval_curve(
    x: Numbers, figures: Sequence[Measured], name: str, colour: str, labels: Sequence[str]
) -> list[dict[str, Any]]:
    """A curve (the last trace) with its band; two points or fewer get bars and a dotted line."""
    line = curve(x, figures, name, colour, labels)
    if sum(item.value is not None for item in figures) > 2:
        return [ribbon(x, figures, colour), line]
    line["line"] = {"color": colour, "width": 1.2, "dash": "dot"}
    line["marker"]["size"] = 9
    return [line | {"error_y": bars(figures, colour)}]


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
