"""C5: the dimension profile by depth, before the final norm, with the final norm apart."""

from collections.abc import Sequence
from typing import Any

from hyperinterp.claims.expansion.apart_figures import more_charts
from hyperinterp.claims.expansion.result import ExpansionResult, SiteGeometry
from hyperinterp.claims.expansion.row_figures import row_charts
from hyperinterp.claims.spec import Measured
from hyperinterp.drawing.axes import NORM, depth_ticks
from hyperinterp.drawing.chart import (
    Chart,
    Choice,
    bars,
    curve,
    ribbon,
    scatter,
)
from hyperinterp.drawing.escape import label
from hyperinterp.drawing.names import METRICS, VARIANTS, metric_name
from hyperinterp.drawing.numbers import count, hover
from hyperinterp.drawing.sketch import Sketch
from hyperinterp.drawing.subtitle import behind
from hyperinterp.drawing.theme import BASE, DELTA, FITTED, MUTED, SYMBOLS, faint
from hyperinterp.drawing.words import explained

SITES = {"stream": "block outputs", "attn": "attention", "mlp": "MLP"}


def _column(figure: Sketch, sites: Sequence[SiteGeometry], key: str, *, norm: bool) -> None:
    x = [float(-1 if site.layer is None else site.layer) for site in sites]
    names = [label(site.label) for site in sites]
    for y, parts in (("y", (("base", BASE), ("fitted", FITTED))), ("y2", (("delta", DELTA),))):
        for part, colour in parts:
            figures: list[Measured] = [getattr(site.metrics[key], part) for site in sites]
            words = "fitted minus base" if part == "delta" else part
            if norm:
                trace = _mark(x, figures, words, colour, names)
                figure.data.append(trace | {"xaxis": "x2", "yaxis": y})
                continue
            figure.data.append(ribbon(x, figures, colour) | {"yaxis": y})
            figure.data.append(curve(x, figures, words, colour, names, yaxis=y))


def _mark(
    x: list[float], figures: list[Measured], name: str, colour: str, labels: list[str]
) -> dict[str, Any]:
    return scatter(
        x=x, y=[item.value for item in figures], mode="markers", name=name, showlegend=False,
        marker={"color": colour, "size": 10, "symbol": SYMBOLS[colour]},
        error_y=bars(figures, colour, 2.0),
        customdata=[[text, hover(item)] for text, item in zip(labels, figures, strict=True)],
        hovertemplate="%{customdata[0]}<br>%{fullData.name}: %{customdata[1]}<extra></extra>",
    )  # fmt: skip


def profile(block: ExpansionResult, measure: str, variant: str, kind: str) -> Sketch | None:
    """Base and fitted above, their difference below; the final norm in its own column."""
    key = f"{measure}@{variant}" if variant else measure
    kinds = ("embed", "resid") if kind == "stream" else (kind,)
    sites = [site for site in block.sites if site.kind in kinds and key in site.metrics]
    if not sites:
        return None
    norm = [
        site
        for site in block.sites
        if site.kind == "final_norm" and kind == "stream" and key in site.metrics
    ]
    figure = Sketch(f"{SITES[kind]} by block (pre-norm)", metric_name(measure))
    figure.sample = behind(
        (site.metrics[key].delta for site in sites),
        f"{count(max(site.n_rows for site in sites))} token positions",
    )
    _column(figure, sites, key, norm=False)
    embedded = any(site.kind == "embed" for site in sites)
    last = max(site.layer or 0 for site in sites)
    figure.xaxis(
        **depth_ticks(last, embedded=embedded), domain=[0, 0.84 if norm else 1], anchor="y2",
        range=[-1.8 if embedded else -0.8, last + 0.8], zeroline=False, showgrid=False,
    )  # fmt: skip
    figure.yaxis(domain=[0.45, 1], rangemode="tozero")
    figure.yaxis("yaxis2", domain=[0, 0.37], title={"text": "fitted − base"}, anchor="x")
    if norm:
        _column(figure, norm, key, norm=True)
        figure.xaxis(
            "xaxis2", domain=[0.87, 1], anchor="y2", range=[-2, 0], tickmode="array",
            tickvals=[-1], ticktext=[NORM], tickangle=0, showgrid=False, zeroline=False,
        )  # fmt: skip
        figure.rectangle(
            x0=-2, x1=0, xref="x2", y0=0, y1=1, yref="paper", fillcolor=faint(MUTED, 0.08)
        )
    _mark_last(figure, block, kind)
    return figure


def _mark_last(figure: Sketch, block: ExpansionResult, kind: str) -> None:
    last = next((site for site in block.sites if site.key == block.last_block), None)
    if kind == "stream" and last is not None and last.layer is not None:
        figure.layout["shapes"].append(
            {
                "type": "line", "x0": last.layer, "x1": last.layer, "xref": "x", "y0": 0, "y1": 1,
                "yref": "y2 domain", "layer": "below",
                "line": {"dash": "dot", "width": 1.2, "color": DELTA},
            }
        )  # fmt: skip


def charts(block: ExpansionResult) -> tuple[Chart, ...]:
    """The charts of this block."""
    keys = {key for site in block.sites for key in site.metrics}
    names = [name for name in METRICS if any(key.partition("@")[0] == name for key in keys)]
    names.sort(key=lambda name: name != block.primary.partition("@")[0])
    variants = [v for v in VARIANTS if any(key.partition("@")[2] == v for key in keys)]
    kinds = {site.kind for site in block.sites}
    sites = [(key, words) for key, words in SITES.items() if key == "stream" or key in kinds]
    interval = block.intervals or "95 % over prompts, the same prompts for both models"
    measure = Choice("measure", "Measure", tuple((name, METRICS[name]) for name in names))
    variant = Choice("rows", "Rows", tuple((key or "raw", VARIANTS[key]) for key in variants))
    return (
        Chart(
            "profile",
            *explained(__package__, "profile", interval=interval),
            lambda name, kind, where: profile(block, name, "" if kind == "raw" else kind, where),
            (measure, variant, Choice("site", "Sites", tuple(sites))),
            height=520,
        ),
        *row_charts(block, interval),
        *more_charts(block, interval),
    )
