"""Colours and plotly templates: Okabe-Ito, in a light and a dark edition.

Figures are always built in light colours; the page exchanges them by `swaps()` in dark mode.
"""

from typing import Any

FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif'

BASE = "#0072B2"
FITTED = "#D55E00"
DELTA = "#007A5A"
CONTROL = "#A8508A"
EXTRA = "#B07D00"
SKY = "#3A93C9"
EARTH = "#74431F"
MUTED = "#6A737D"
INK = "#1F2328"
PAPER = "#FFFFFF"
GRID = "#E7E9EC"
LINE = "#B9BFC6"
CLEAR = "rgba(0,0,0,0)"

_DARK = {
    BASE: "#56B4E9",
    FITTED: "#F58B45",
    DELTA: "#3CC79A",
    CONTROL: "#E09BC6",
    EXTRA: "#F0C04A",
    SKY: "#8CCBF0",
    EARTH: "#B98D68",
    MUTED: "#98A1AC",
    INK: "#E4E7EB",
    PAPER: "#16191D",
    GRID: "#2B3036",
    LINE: "#4A525B",
}
_HEAT = ("#F4F7FA", "#CFE3F1", "#8FC1E0", "#3F90C4", "#0B5A92", "#062F52")
_HEAT_DARK = ("#1C2126", "#173A54", "#1F5F8C", "#3A8FC6", "#86C5EC", "#E2F2FC")
SYMBOLS = {
    BASE: "circle",
    FITTED: "diamond",
    DELTA: "square",
    CONTROL: "triangle-up",
    EXTRA: "triangle-down",
}


def faint(colour: str, alpha: float = 0.16) -> str:
    """The same colour, almost transparent: for interval bands."""
    red, green, blue = (int(colour[start : start + 2], 16) for start in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha})"


def heat_scale() -> list[list[float | str]]:
    """Sequential colour scale, from nothing to much."""
    return [[index / (len(_HEAT) - 1), colour] for index, colour in enumerate(_HEAT)]


def swaps() -> dict[str, str]:
    """Every colour of a figure with its dark edition."""
    table = dict(_DARK)
    for light, dark in _DARK.items():
        for alpha in (0.08, 0.16, 0.35):
            table[faint(light, alpha)] = faint(dark, min(1.5 * alpha, 0.5))
    table.update(zip(_HEAT, _HEAT_DARK, strict=True))
    return table


def template(*, dark: bool = False) -> dict[str, Any]:
    """The plotly template of every figure."""

    def pick(colour: str) -> str:
        return _DARK[colour] if dark else colour

    axis: dict[str, Any] = {
        "gridcolor": pick(GRID),
        "linecolor": pick(LINE),
        "zerolinecolor": pick(LINE),
        "zerolinewidth": 1,
        "tickcolor": pick(LINE),
        "ticks": "outside",
        "ticklen": 4,
        "showline": True,
        "automargin": True,
        "title": {"font": {"size": 12, "color": pick(MUTED)}, "standoff": 8},
        "tickfont": {"size": 11.5},
    }
    bar = {"outlinewidth": 0, "thickness": 10, "tickfont": {"size": 11}}
    return {
        "layout": {
            "font": {"family": FONT, "size": 13, "color": pick(INK)},
            "paper_bgcolor": CLEAR,
            "plot_bgcolor": CLEAR,
            "colorway": [pick(c) for c in (BASE, FITTED, DELTA, CONTROL, EXTRA, MUTED)],
            "xaxis": axis,
            "yaxis": axis,
            "margin": {"l": 56, "r": 16, "t": 16, "b": 48},
            "legend": {
                "orientation": "h", "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom",
                "font": {"size": 12}, "bgcolor": CLEAR,
                "title": {"side": "top", "font": {"size": 11, "color": pick(MUTED)}},
            },
            "hoverlabel": {
                "bgcolor": pick(PAPER), "bordercolor": pick(LINE), "namelength": -1,
                "font": {"family": FONT, "size": 12, "color": pick(INK)}, "align": "left",
            },
            "hovermode": "closest",
            "coloraxis": {"colorbar": bar},
            "annotationdefaults": {"font": {"size": 12, "color": pick(MUTED)}},
            "title": {
                "font": {"size": 15}, "x": 0, "xref": "paper", "xanchor": "left",
                "subtitle": {"font": {"size": 12, "color": pick(MUTED)}},
            },
            "uniformtext": {"minsize": 9, "mode": "hide"},
        },
        "data": {"heatmap": [{"colorbar": bar}], "bar": [{"marker": {"line": {"width": 0}}}]},
    }  # fmt: skip
