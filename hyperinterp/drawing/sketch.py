"""A figure as plain plotly data: quick to build by the hundred, validated when it is drawn."""

from collections.abc import Iterable, Mapping
from math import ceil
from typing import TYPE_CHECKING, Any

from hyperinterp.drawing.subtitle import lines
from hyperinterp.drawing.theme import CLEAR, MUTED, PAPER, template

if TYPE_CHECKING:
    import plotly.graph_objects as go

_NARROW, _WIDE = 52, 96  # characters in a line of the subtitle, on a phone and in a notebook
_LINE = 16
_ENTRY = 19  # height of a row of the legend
_PLOT = 700  # width of the plot in a notebook
_PRINTED = 0.7  # a figure on paper is so much of its height on the page


def merge(into: dict[str, Any], more: Mapping[str, Any]) -> None:
    """Deep update of nested dictionaries, in place."""
    for key, value in more.items():
        if isinstance(value, Mapping) and isinstance(into.get(key), dict):
            merge(into[key], value)
        else:
            into[key] = dict(value) if isinstance(value, Mapping) else value


class Sketch:
    """Traces and layout in plotly's own words.

    plotly's `go.Figure` checks every property at every step, which costs seconds over a whole
    report; a sketch is checked once, when `figure()` turns it into one.

    Attributes:
        data: traces.
        layout: plotly's layout, without title and template.
        sample: what the figure was measured on, for the subtitle, e.g. "n = 24 prompts".
    """

    def __init__(self, x_title: str = "", y_title: str = "") -> None:
        self.data: list[dict[str, Any]] = []
        self.layout: dict[str, Any] = {"shapes": [], "annotations": []}
        self.sample = ""
        self.xaxis(title={"text": x_title})
        self.yaxis(title={"text": y_title})

    def add(self, kind: str, /, **trace: Any) -> None:
        """Append a trace of a kind, e.g. "scatter"."""
        self.data.append({"type": kind, **trace})

    def xaxis(self, name: str = "xaxis", **settings: Any) -> None:
        """Set properties of an x axis."""
        merge(self.layout.setdefault(name, {}), settings)

    def yaxis(self, name: str = "yaxis", **settings: Any) -> None:
        """Set properties of a y axis."""
        merge(self.layout.setdefault(name, {}), settings)

    def rectangle(self, **shape: Any) -> None:
        """A filled rectangle behind the traces."""
        shape = {"type": "rect", "layer": "below", "line": {"width": 0}, **shape}
        self.layout["shapes"].append(shape)

    def level(
        self,
        value: float | int,
        text: str,
        *,
        vertical: bool = False,
        left: bool = False,
        **line: Any,
    ) -> None:
        """A dotted reference line across the plot with words, e.g. a threshold or zero.

        The words of a horizontal line stand at its right end, with `left` at the other one.
        """
        look = {"dash": "dot", "width": 1.2, "color": MUTED, **line}
        along, across = ("x", "y") if vertical else ("y", "x")
        ends = {f"{along}0": value, f"{along}1": value, f"{along}ref": along}
        ends |= {f"{across}0": 0, f"{across}1": 1, f"{across}ref": f"{across} domain"}
        self.layout["shapes"].append({"type": "line", "line": look, "layer": "above", **ends})
        if not text:
            return
        place: dict[str, Any] = {along: value, f"{along}ref": along, across: 0 if left else 1}
        place |= {f"{across}ref": f"{across} domain", "yanchor": "bottom", "showarrow": False}
        place["xanchor"] = "center" if vertical else "left" if left else "right"
        place |= {"text": text, "font": {"size": 11, "color": MUTED}}
        self.layout["annotations"].append(place)

    def mark(self, value: float, row: int) -> None:
        """A dotted threshold across one row only."""
        line = {"dash": "dot", "width": 1.4, "color": MUTED}
        ends = {"x0": value, "x1": value, "y0": row - 0.4, "y1": row + 0.4}
        self.layout["shapes"].append({"type": "line", "line": line, "layer": "above", **ends})

    def rows(self, labels: list[str]) -> None:
        """Numeric row positions from top to bottom with (already escaped) labels.

        On a narrow page the labels stand above their rows (`meta.rows`).
        """
        self.layout["meta"] = {"rows": True}
        self.yaxis(
            tickmode="array", tickvals=list(range(len(labels))), ticktext=labels,
            range=[len(labels) - 0.5, -0.5], zeroline=False, title={"text": ""},
        )  # fmt: skip

    def shows(self) -> bool:
        """Return whether any trace has a point to draw."""
        return any(_points(trace) for trace in self.data)

    def spec(self, height: int, subtitle: Iterable[str]) -> dict[str, Any]:
        """The plain figure without title and template, as the page embeds it.

        The subtitle is the title of the legend, since that makes its own room at every width;
        a figure without a legend gets an empty entry.
        """
        rows = lines(subtitle, _NARROW)
        legend = {"title": {"text": "<br>".join(rows)}, "y": self._legend_foot(height)}
        keyed = any(trace.get("name") and trace.get("showlegend", True) for trace in self.data)
        data = self.data if keyed else [*self.data, _NO_ENTRY]
        return {
            "data": data,
            "layout": {
                **self.layout, "legend": legend, "showlegend": True,
                "height": height + _LINE * (len(rows) + 1 - keyed),
            },
        }  # fmt: skip

    def _legend_foot(self, height: int) -> float:
        """Return the legend's foot: above the plot, and above the words of vertical levels."""
        lines = (
            item["text"].count("<br>") + 1
            for item in self.layout["annotations"]
            if item.get("yref") == "y domain"
        )
        return 1.02 + max(lines, default=0) * _LINE / max(_PRINTED * height - 110, 60)

    def _legend_rows(self) -> int:
        """Return the rows of the legend in a notebook: one, or even columns where it is long."""
        keyed = (trace for trace in self.data if trace.get("showlegend", True))
        wide = [50 + 6.6 * len(trace["name"]) for trace in keyed if trace.get("name")]
        if sum(wide) <= _PLOT:
            return 1
        return ceil(len(wide) / max(1, int(_PLOT / max(wide))))

    def figure(self, title: str, height: int, subtitle: Iterable[str]) -> "go.Figure":
        """A checked plotly figure with title, subtitle and the common look, on paper."""
        import plotly.graph_objects as go

        rows = lines(subtitle, _WIDE)
        top = 84 + _LINE * len(rows) + _ENTRY * (self._legend_rows() - 1)
        figure = go.Figure(data=self.data, layout=self.layout)
        words = {"text": title, "subtitle": {"text": "<br>".join(rows)}}
        place = {"y": 1, "yref": "container", "yanchor": "top", "pad": {"t": 14}}
        figure.update_layout(
            template=template(), height=height + top - 24, title=words | place,
            margin={"t": top}, paper_bgcolor=PAPER, legend={"y": self._legend_foot(height)},
        )  # fmt: skip
        return figure


_NO_ENTRY = {
    "type": "scatter", "x": [None], "y": [None], "mode": "markers", "name": " ",
    "marker": {"color": CLEAR}, "hoverinfo": "skip",
}  # fmt: skip


def _points(trace: Mapping[str, Any]) -> bool:
    if trace["type"] == "heatmap":
        return any(cell is not None for row in trace["z"] for cell in row)
    pairs = zip(trace["x"], trace["y"], strict=True)
    return any(x is not None and y is not None for x, y in pairs)
