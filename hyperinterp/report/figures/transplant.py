"""C6: what moving one block's function, or several, does to predictions and to text."""

from hyperinterp.analyses.results import Measured
from hyperinterp.analyses.transplant import Transplant, TransplantBlock
from hyperinterp.report.escape import label
from hyperinterp.report.figures.chart import (
    Chart,
    Choice,
    Reading,
    bars,
    curve,
    depth_ticks,
    dots,
    ribbon,
)
from hyperinterp.report.figures.sketch import Sketch
from hyperinterp.report.figures.theme import BASE, FITTED, MUTED, faint
from hyperinterp.report.numbers import hover

INTO_BASE, INTO_FITTED = "fitted into base", "base into fitted"
DIRECTIONS = ((INTO_BASE, FITTED, -0.19), (INTO_FITTED, BASE, 0.19))
METRICS = {
    "recovered_kl": "share of KL recovered",
    "recovered_logit": "share of logit difference recovered",
    "agreement": "top-1 agreement with the donor",
}
PARTS = {"block": "whole block", "attention": "attention", "MLP": "MLP"}
ENDS = ("final norm", "unembedding")


def _pick(block: TransplantBlock, kind: str, direction: str) -> list[Transplant]:
    found = [t for t in block.transplants if t.kind == kind and t.direction == direction]
    return sorted(found, key=lambda item: item.layers)


def single(block: TransplantBlock, metric: str, kind: str) -> Sketch | None:
    """One bar per block and direction; the null band; final norm and unembedding apart."""
    figure = Sketch("block whose function is exchanged", METRICS[metric])
    layers: list[int] = []
    for direction, colour, shift in DIRECTIONS:
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
    ends = [name for name in ENDS if any(item.kind == name for item in block.transplants)]
    for index, name in enumerate(ends):
        for direction, colour, shift in DIRECTIONS:
            items = _pick(block, name, direction)
            x = [last + 2 + 1.6 * index + shift] * len(items)
            _add_bars(figure, items, x, metric, direction, colour, legend=False)
    ticks = depth_ticks(last)
    figure.xaxis(
        tickmode="array", showgrid=False, zeroline=False,
        tickvals=ticks["tickvals"] + [last + 2 + 1.6 * i for i in range(len(ends))],
        ticktext=ticks["ticktext"] + ["norm" if n == "final norm" else "unemb." for n in ends],
        range=[min(layers) - 0.8, last + 1 + 1.8 * len(ends)],
    )  # fmt: skip
    if ends:
        figure.rectangle(
            x0=last + 1.1, x1=last + 1.1 + 1.8 * len(ends), y0=0, y1=1, yref="paper",
            fillcolor=faint(MUTED, 0.08),
        )  # fmt: skip
    if metric == "recovered_kl":
        figure.level(0.5, "half of the change")
    figure.layout["barmode"] = "overlay"
    return figure


def _add_bars(
    figure: Sketch, items: list[Transplant], x: list[float], metric: str, direction: str,
    colour: str, *, legend: bool = True,
) -> None:  # fmt: skip
    figures: list[Measured] = [getattr(item, metric) for item in items]
    figure.add(
        "bar",
        x=x, y=[item.value for item in figures], width=0.36, name=direction, showlegend=legend,
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


def _null_band(figure: Sketch, block: TransplantBlock) -> None:
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
        name=f"random changes of the same norm ({draws} draws)",
        line={"color": MUTED, "width": 1.5, "dash": "dash"}, marker={"color": MUTED, "symbol": "x"},
        error_y=bars(figures if len(nulls) == 1 else [], MUTED, 1.0),
        customdata=[hover(item) for item in figures],
        hovertemplate="null: %{customdata}<extra></extra>",
    )  # fmt: skip


def cumulative(block: TransplantBlock, metric: str) -> Sketch | None:
    """The first or the last k blocks together, in both directions."""
    figure = Sketch("number of blocks exchanged together (k)", METRICS[metric])
    drawn = 0
    for direction, colour, _ in DIRECTIONS:
        for kind, dash in (("last k", "solid"), ("first k", "dot")):
            items = sorted(_pick(block, kind, direction), key=lambda item: len(item.layers))
            x = [float(len(item.layers)) for item in items]
            figures = [getattr(item, metric) for item in items]
            figure.data.append(ribbon(x, figures, colour))
            names = [label(item.label) for item in items]
            line = curve(x, figures, f"{kind}, {direction}", colour, names)
            line["line"]["dash"] = dash
            figure.data.append(line)
            drawn += len(items)
    if not drawn:
        return None
    if metric == "recovered_kl":
        figure.level(0.5, "half of the change")
    return figure


def hybrids(block: TransplantBlock, measure: str) -> Sketch | None:
    """Diversity of the text that each hybrid writes."""
    if not block.hybrids:
        return None
    words = {
        "ttr": "type-token ratio",
        "rep_4": "repeated 4-grams",
        "gain_share": "share of the diversity gain",
    }
    figure = Sketch(words[measure])
    names = [label(item.label, 40) for item in block.hybrids]
    for direction, colour, _ in DIRECTIONS:
        rows = [row for row, item in enumerate(block.hybrids) if item.direction == direction]
        figures = [getattr(block.hybrids[row], measure) for row in rows]
        labels = [names[row] for row in rows]
        figure.data.append(dots(rows, figures, direction, colour, labels))
    figure.rows(names)
    return figure


def charts(block: TransplantBlock) -> tuple[Chart, ...]:
    """The charts of this block."""
    kinds = {item.kind for item in block.transplants}
    metric = Choice("metric", "Effect", tuple(METRICS.items()))
    part = Choice("part", "Part", tuple((k, w) for k, w in PARTS.items() if k in kinds))
    measures = (
        ("ttr", "type-token ratio"),
        ("rep_4", "repeated 4-grams"),
        ("gain_share", "share of gain"),
    )
    found = []
    if part.options:
        found.append(
            Chart(
                "single", "One block at a time",
                Reading(
                    "Each block's function is taken from the donor and run on the recipient's "
                    "own stream, in both directions; the grey band are random weight changes of "
                    "the same norm. Final norm and unembedding stand apart.",
                    "Share of KL(donor || recipient) that the exchange removes (1 is all, below 0 "
                    "is worse than nothing); or the chosen effect.",
                    "Thin bars: intervals over prompts. Band: smallest to largest null draw.",
                    "A last block below one half, below another block, or inside the band.",
                ),
                lambda name, kind: single(block, name, kind), (metric, part), height=430,
            )
        )  # fmt: skip
    found += [
        Chart(
            "cumulative", "Several blocks together",
            Reading(
                "The first k or the last k blocks exchanged together.",
                "The chosen effect over k.", "Bands: intervals over prompts.",
                "A curve of the last k that stays low until k is large: the change is spread "
                "over the depth.",
            ),
            lambda name: cumulative(block, name), (metric,), height=400,
        ),
        Chart(
            "hybrids", "What the hybrids write",
            Reading(
                "Diversity of greedy text written by models with exchanged blocks.",
                "The chosen measure; share of gain: 0 is the base, 1 is the fitted model.",
                "Bars: intervals over prompts.",
                "The hybrid with the last block alone as repetitive as the base.",
            ),
            lambda measure: hybrids(block, measure), (Choice("measure", "Measure", measures),),
            height=90 + 36 * len(block.hybrids),
        ),
    ]  # fmt: skip
    return tuple(found)
