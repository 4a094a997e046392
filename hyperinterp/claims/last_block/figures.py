"""C6: what moving one block's function, or several, does to predictions and to text."""

from hyperinterp.claims.last_block.patches import DIRECTIONS, INTO_BASE, INTO_FITTED
from hyperinterp.claims.last_block.result import LastBlockResult, PatchEffect
from hyperinterp.claims.last_block.stitched_figures import stitched_charts
from hyperinterp.claims.spec import Measured
from hyperinterp.drawing.axes import depth_ticks
from hyperinterp.drawing.chart import (
    Chart,
    Choice,
    bars,
    ribbon,
    scatter,
)
from hyperinterp.drawing.escape import label
from hyperinterp.drawing.numbers import count, hover
from hyperinterp.drawing.sketch import Sketch
from hyperinterp.drawing.subtitle import behind
from hyperinterp.drawing.theme import BASE, FITTED, MUTED, faint
from hyperinterp.drawing.words import explained

LOOKS = ((INTO_BASE, FITTED, -0.19), (INTO_FITTED, BASE, 0.19))
METRICS = {
    "recovered_kl": "share of KL recovered",
    "recovered_logit": "share of logit difference recovered",
    "agreement": "top-1 agreement with the donor",
}
COMPONENTS = {"block": "whole block", "attention": "attention", "MLP": "MLP"}
ENDS = {"final norm": "norm", "unembedding": "<br>unemb."}  # one above the other on a phone


def _pick(block: LastBlockResult, kind: str, direction: str) -> list[PatchEffect]:
    found = [t for t in block.patches if t.kind == kind and t.direction == direction]
    return sorted(found, key=lambda item: item.layers)


def single(block: LastBlockResult, metric: str, kind: str) -> Sketch | None:
    """One bar per block and direction; the null band; final norm and unembedding apart."""
    figure = Sketch("block whose function is patched", METRICS[metric])
    layers: list[int] = []
    for direction, colour, shift in LOOKS:
        items = [item for item in _pick(block, kind, direction) if item.layers]
        layers += [item.layers[0] for item in items]
        _add_bars(
            figure, items, [item.layers[0] + shift for item in items], metric, direction, colour
        )
    if not layers:
        return None
    last = max(layers)
    if metric == "recovered_kl" and kind == "block":
        _null_band(figure, block)
    _ends(figure, block, metric, min(layers), last)
    _reference(figure, block, metric)
    figure.layout["barmode"] = "overlay"
    figure.sample = _sample(block, metric)
    return figure


def _ends(figure: Sketch, block: LastBlockResult, metric: str, first: int, last: int) -> None:
    """Final norm and unembedding on a ground of their own, and the ticks of all."""
    kinds = [name for name in ENDS if any(item.kind == name for item in block.patches)]
    apart = max(1.6, 0.12 * (last - first + 1))
    places = [last + apart * (index + 1) for index in range(len(kinds))]
    for name, place in zip(kinds, places, strict=True):
        for direction, colour, shift in LOOKS:
            items = _pick(block, name, direction)
            x = [place + shift] * len(items)
            _add_bars(figure, items, x, metric, direction, colour, legend=False)
    ticks, edge = depth_ticks(last), last + 0.5 + (len(kinds) + 0.25) * apart * bool(kinds)
    figure.xaxis(
        tickmode="array", showgrid=False, zeroline=False, tickangle=0, ticklabeloverflow="allow",
        tickvals=ticks["tickvals"] + places, range=[first - 0.8, edge],
        ticktext=ticks["ticktext"] + [ENDS[name] for name in kinds],
    )  # fmt: skip
    if kinds:
        figure.rectangle(
            x0=last + apart / 2, x1=edge, y0=0, y1=1, yref="paper", fillcolor=faint(MUTED, 0.08)
        )


def _reference(figure: Sketch, block: LastBlockResult, metric: str) -> None:
    if metric == "recovered_kl":
        figure.level(0.5, "half of the change")
    if metric == "agreement" and block.agreement.value is not None:
        figure.level(block.agreement.value, "without any patch")


def _sample(block: LastBlockResult, metric: str) -> str:
    figures = (getattr(item, metric) for item in block.patches)
    return behind(figures, f"{count(block.n_contexts)} decisions")


def _add_bars(
    figure: Sketch, items: list[PatchEffect], x: list[float], metric: str, direction: str,
    colour: str, *, legend: bool = True,
) -> None:  # fmt: skip
    figures: list[Measured] = [getattr(item, metric) for item in items]
    figure.add(
        "bar",
        x=x, y=[item.value for item in figures], width=0.36, name=DIRECTIONS[direction],
        showlegend=legend,
        legendgroup=direction, error_y=bars(figures, MUTED, 1.0),
        marker={
            "color": colour if direction == INTO_BASE else faint(colour, 0.35),
            "line": {"color": colour, "width": 1.2},
        },
        customdata=[
            [label(item.label), hover(value)] for item, value in zip(items, figures, strict=True)
        ],
        hovertemplate="%{customdata[0]}, %{fullData.name}<br>%{customdata[1]}<extra></extra>",
    )  # fmt: skip


def _null_band(figure: Sketch, block: LastBlockResult) -> None:
    nulls = sorted(block.nulls, key=lambda item: item.layer)
    if not nulls:
        return
    draws = nulls[0].draws
    figures = [Measured(n.recovered_kl[1], n.recovered_kl[0], n.recovered_kl[2]) for n in nulls]
    x = [float(item.layer) for item in nulls]
    if len(nulls) > 1:
        figure.data.append(ribbon(x, figures, MUTED))
    figure.add(
        "scatter",
        x=x, y=[item.value for item in figures], mode="markers" if len(nulls) == 1 else "lines",
        name=f"random, same norm ({draws} draw{'s' if draws > 1 else ''})",
        line={"color": MUTED, "width": 1.5, "dash": "dash"},
        marker={"color": MUTED, "symbol": "x", "size": 8},
        error_y=bars(figures if len(nulls) == 1 else [], MUTED, 1.0),
        customdata=[hover(item) for item in figures],
        hovertemplate="null: %{customdata}<extra></extra>",
    )  # fmt: skip


def cumulative(block: LastBlockResult, metric: str) -> Sketch | None:
    """The first or the last k blocks together, both ways: points, for nothing lies between them."""
    figure = Sketch("number of blocks patched together (k)", METRICS[metric])
    drawn, most = 0, max((len(item.layers) for item in block.patches), default=1)
    for direction, colour, side in LOOKS:
        for kind, symbol, shift in (("last k", "circle", -1), ("first k", "circle-open", 1)):
            items = sorted(_pick(block, kind, direction), key=lambda item: len(item.layers))
            figures = [getattr(item, metric) for item in items]
            aside = (2 * side + 0.19 * shift) * 0.02 * most
            figure.data.append(
                scatter(
                    x=[len(item.layers) + aside for item in items],
                    y=[item.value for item in figures],
                    mode="markers",
                    name=f"{kind}, {DIRECTIONS[direction]}",
                    marker={"color": colour, "size": 8, "symbol": symbol},
                    error_y=bars(figures, colour, 1.2),
                    customdata=[
                        [label(item.label), hover(value)]
                        for item, value in zip(items, figures, strict=True)
                    ],
                    hovertemplate="%{customdata[0]}, %{fullData.name}<br>%{customdata[1]}"
                    "<extra></extra>",
                )
            )
            drawn += len(items)
    if not drawn:
        return None
    _reference(figure, block, metric)
    figure.sample = _sample(block, metric)
    return figure


def _null_words(block: LastBlockResult) -> str:
    if not block.nulls:
        return "No random changes of the same norm were drawn."
    draws = f"{block.nulls[0].draws} random weight changes of the same norm"
    if len(block.nulls) == 1:
        return (
            f"The grey cross is the mean of {draws} at block {block.nulls[0].layer}, its bar goes "
            "from the smallest to the largest."
        )
    return f"The grey line is the mean of {draws}, its band goes from the smallest to the largest."


def charts(block: LastBlockResult) -> tuple[Chart, ...]:
    """The charts of this block."""
    kinds = {item.kind for item in block.patches}
    metric = Choice("metric", "Effect", tuple(METRICS.items()))
    component = Choice(
        "component", "Component", tuple((k, w) for k, w in COMPONENTS.items() if k in kinds)
    )
    found = []
    if component.options:
        found.append(
            Chart(
                "single", *explained(__package__, "single", null_words=_null_words(block)),
                lambda name, kind: single(block, name, kind), (metric, component), height=430,
            )
        )  # fmt: skip
    found += [
        Chart(
            "cumulative", *explained(__package__, "cumulative"),
            lambda name: cumulative(block, name), (metric,), height=400,
        ),
    ]  # fmt: skip
    return (*found, *stitched_charts(block))
