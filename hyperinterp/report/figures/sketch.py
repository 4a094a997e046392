"""A figure as plain plotly data: quick to build by the hundred, validated when it is drawn."""

from collections.abc import Mapping
from typing import Any

import plotly.graph_objects as go

from hyperinterp.report.figures.theme import MUTED, template


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
    """

    def __init__(self, x_title: str = "", y_title: str = "") -> None:
        self.data: list[dict[str, Any]] = []
        self.layout: dict[str, Any] = {"shapes": [], "annotations": []}
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

    def level(self, value: float | int, text: str, *, vertical: bool = False, **line: Any) -> None:
        """A dotted reference line across the plot with words, e.g. a threshold or zero."""
        look = {"dash": "dot", "width": 1.2, "color": MUTED, **line}
        along, across = ("x", "y") if vertical else ("y", "x")
        ends = {f"{along}0": value, f"{along}1": value, f"{along}ref": along}
        ends |= {f"{across}0": 0, f"{across}1": 1, f"{across}ref": f"{across} domain"}
        self.layout["shapes"].append({"type": "line", "line": look, "layer": "below", **ends})
        if not text:
            return
        place: dict[str, Any] = {along: value, f"{along}ref": along, across: 1}
        place |= {f"{across}ref": f"{across} domain", "yanchor": "bottom", "showarrow": False}
        place["xanchor"] = "center" if vertical else "right"
        place |= {"text": text, "font": {"size": 11, "color": MUTED}}
        self.layout["annotations"].append(place)

    def rows(self, labels: list[str]) -> None:
        """Numeric row positions from top to bottom with (already escaped) labels.

        On a narrow page the labels stand above their rows (`meta.rows`).
        """
        self.layout["meta"] = {"rows": True}
        self.yaxis(
            tickmode="array", tickvals=list(range(len(labels))), ticktext=labels,
            range=[len(labels) - 0.5, -0.5], zeroline=False, title={"text": ""},
        )  # fmt: skip

    def spec(self, height: int) -> dict[str, Any]:
        """The plain figure without title and template, as the page embeds it."""
        return {"data": self.data, "layout": {**self.layout, "height": height}}

    def figure(self, title: str, height: int) -> go.Figure:
        """A checked plotly figure with title and the common look."""
        figure = go.Figure(data=self.data, layout=self.layout)
        figure.update_layout(
            template=template(), height=height + 60, title={"text": title}, margin={"t": 84}
        )
        return figure
