"""C10: the quality-diversity plane, and every quantity by source."""

from hyperinterp.claims.quality import CLAIM
from hyperinterp.claims.quality.arms import HALVES
from hyperinterp.claims.quality.result import QualityResult, TextQuality
from hyperinterp.claims.spec import Measured
from hyperinterp.drawing.chart import Chart, Choice, bars, dots
from hyperinterp.drawing.escape import label
from hyperinterp.drawing.numbers import hover
from hyperinterp.drawing.sketch import Sketch
from hyperinterp.drawing.subtitle import behind
from hyperinterp.drawing.theme import BASE, CONTROL, DELTA, EXTRA, FITTED, INK, MUTED, SKY
from hyperinterp.drawing.words import explained

KINDS = {
    "human": (INK, "star", 17),
    "half": (MUTED, "star-open", 11),
    "base": (BASE, "circle", 12),
    "fitted": (FITTED, "diamond", 13),
}
"""Colour, symbol and size of a point, by kind."""
REMEDIES = (
    (EXTRA, "triangle-down"), (EXTRA, "triangle-up"), (EXTRA, "cross"), (SKY, "square"),
    (SKY, "square-open"), (CONTROL, "hexagon"), (DELTA, "pentagon"),
)  # fmt: skip
QUANTITIES = {
    "fresh": "fresh surprisal, nats per token",
    "shocking": "share of shocking tokens",
    "gain": "prompt gain, nats per token",
    "surprisal": "surprisal, nats per token",
    "distance": "distance from human surprisal, nats per token",
    "ttr": "type-token ratio",
}


def plane(block: QualityResult) -> Sketch:
    """Fresh surprisal beside the human one against the type-token ratio, a point per source."""
    figure = Sketch("fresh surprisal, text minus human, nats per token", "type-token ratio")
    others = iter(REMEDIES)
    for item in block.texts:
        if item.kind in KINDS:
            _point(figure, item, *KINDS[item.kind])
        else:
            _point(figure, item, *next(others, (MUTED, "circle-open")), 10)
    needed = CLAIM.rule.criteria[0].threshold
    figure.level(needed, f"human + {needed:g}", vertical=True)
    figure.xaxis(zeroline=True)
    figure.sample = behind(item.excess for item in block.texts if item.kind != "half")
    return figure


def _point(figure: Sketch, item: TextQuality, colour: str, symbol: str, size: int) -> None:
    figure.add(
        "scatter",
        x=[item.excess.value], y=[item.ttr.value], mode="markers", name=label(_short(item)),
        marker={"color": colour, "symbol": symbol, "size": size},
        error_x=bars([item.excess], colour), error_y=bars([item.ttr], colour),
        customdata=[[label(item.source), hover(item.excess), hover(item.ttr)]],
        hovertemplate="%{customdata[0]}<br>over human: %{customdata[1]}"
        "<br>type-token ratio: %{customdata[2]}<extra></extra>",
        showlegend=item.source != HALVES[1],
    )  # fmt: skip


def _short(item: TextQuality) -> str:
    """Return a source's name in the legend."""
    if item.kind == "half":
        return "its halves"
    return item.source.removeprefix("base, ").removeprefix("repetition ")


def by_source(block: QualityResult, quantity: str) -> Sketch:
    """One quantity of every source, with the level that the rule sets."""
    figure = Sketch(QUANTITIES[quantity])
    shown = [item for item in block.texts if getattr(item, quantity).value is not None]
    for row, item in enumerate(shown):
        colour = KINDS[item.kind][0] if item.kind in KINDS else EXTRA
        value: Measured = getattr(item, quantity)
        figure.data.append(dots([row], [value], label(item.source), colour, [""], showlegend=False))
    figure.rows([label(item.source) for item in shown])
    level = _level(block, quantity)
    if level is not None:
        figure.level(level[0], level[1], vertical=True)
    figure.xaxis(rangemode="tozero")
    figure.sample = behind(getattr(item, quantity) for item in shown)
    return figure


def _level(block: QualityResult, quantity: str) -> tuple[float, str] | None:
    """Return the level that the fitted model has to stay below, or above for the prompt gain."""
    by_kind: dict[str, TextQuality] = {item.kind: item for item in block.texts[::-1]}
    rules = {item.key: item.threshold for item in CLAIM.rule.criteria}
    source = by_kind.get("base" if quantity == "distance" else "human")
    value = None if source is None else getattr(source, quantity).value
    if value is None or quantity not in rules:
        return None
    if quantity == "gain":
        return value * rules["gain"], f"{rules['gain']:g} x human"
    if quantity == "distance":
        return value, "the base's"
    return value + rules[quantity], f"human + {rules[quantity]:g}"


def charts(block: QualityResult) -> tuple[Chart, ...]:
    """The charts of C10."""
    short = tuple((key, words.partition(",")[0]) for key, words in QUANTITIES.items())
    return (
        Chart(
            "plane", *explained(__package__, "plane", reference=block.reference),
            lambda: plane(block), height=480,
        ),
        Chart(
            "quantities", *explained(__package__, "quantities", reference=block.reference),
            lambda key: by_source(block, key), (Choice("quantity", "Quantity", short),),
            height=60 + 30 * len(block.texts),
        ),
    )  # fmt: skip
