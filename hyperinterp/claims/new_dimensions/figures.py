"""C12: what is undone without the new dimensions, beside random and old directions."""

from hyperinterp.claims.new_dimensions.directions import COUNT, LEADING, NEW, RANDOM, WHOLE
from hyperinterp.claims.new_dimensions.interventions import COMPONENT, MEAN
from hyperinterp.claims.new_dimensions.result import Intervention, NewDimensionsResult
from hyperinterp.claims.spec import Measured
from hyperinterp.drawing.axes import depth_ticks
from hyperinterp.drawing.chart import Chart, Choice, dots, interval_curve
from hyperinterp.drawing.escape import label
from hyperinterp.drawing.numbers import count, number
from hyperinterp.drawing.sketch import Sketch
from hyperinterp.drawing.subtitle import behind
from hyperinterp.drawing.theme import BASE, CONTROL, EXTRA, FITTED, MUTED
from hyperinterp.drawing.words import explained

MEASURES = {
    "moved": "share of overrides undone",
    "deep_moved": "share of deep-tail overrides undone",
    "recovered_kl": "share of KL(base || fitted) gone",
    "elsewhere": "share of overrides that become a third token",
    "disturbed": "share of the other choices that change",
}
PUT = {COMPONENT: "base's component", MEAN: "mean"}
COLOURS = {NEW: FITTED, RANDOM: MUTED, LEADING: BASE, COUNT: CONTROL, WHOLE: EXTRA}
TEXT = {
    "ttr": "type-token ratio",
    "rep_4": "repeated 4-grams",
    "undone": "share of the diversity gain undone",
}
HALF = 0.5


def dose(result: NewDimensionsResult, measure: str, given: str) -> Sketch | None:
    """One curve per kind of directions over the variance that is replaced."""
    figure = Sketch("share of the fitted model's variance replaced", MEASURES[measure])
    drawn: list[Measured] = []
    for kind in (LEADING, RANDOM, NEW):
        items = sorted(result.of(kind, given=given), key=lambda item: item.removed)
        values: list[Measured] = [getattr(item, measure) for item in items]
        names = [_words(item) for item in items]
        x = [item.removed for item in items]
        if items:
            figure.data += interval_curve(x, values, kind, COLOURS[kind], names)
            drawn += values
    if not drawn:
        return None
    _declared(figure, result, measure)
    figure.xaxis(rangemode="tozero")
    figure.yaxis(rangemode="tozero")
    figure.sample = _sample(result, drawn)
    return figure


def _declared(figure: Sketch, result: NewDimensionsResult, measure: str) -> None:
    """The threshold, the declared dose, and what the whole stream does."""
    if result.declared:
        one = "direction" if result.declared == 1 else "directions"
        words = f"half of the growth:<br>{result.declared} {one}"
        figure.level(result.removed, words, vertical=True)
    if measure in ("moved", "deep_moved"):
        figure.level(HALF, "half of the overrides", left=True)
    for item in result.of(WHOLE):
        whole = getattr(item, measure).value
        if whole is not None and measure != "disturbed":
            figure.level(whole, "whole stream", dash="dash")


def _words(item: Intervention) -> str:
    draws = f", {item.draws} draws" if item.draws > 1 else ""
    return label(f"{number(item.directions)} directions{draws}")


def _sample(result: NewDimensionsResult, figures: list[Measured]) -> str:
    return behind(figures, f"{count(result.contexts)} decisions")


def kinds(result: NewDimensionsResult, measure: str) -> Sketch | None:
    """Every kind of directions at the declared dose: both ways, and with the mean."""
    order = (NEW, RANDOM, COUNT, LEADING, WHOLE)
    ways = (
        ("fitted, base's component", "fitted", COMPONENT, FITTED),
        ("fitted, mean", "fitted", MEAN, EXTRA),
        ("base, fitted model's component", "base", COMPONENT, BASE),
    )
    figure = Sketch(MEASURES[measure].replace("undone", "undone (fitted) or made (base)"))
    drawn: list[Measured] = []
    for place, (name, recipient, given, colour) in enumerate(ways):
        rows, values, names = [], [], []
        for row, kind in enumerate(order):
            for item in result.of(kind, recipient=recipient, given=given):
                if item.declared or kind == WHOLE:
                    rows.append(row + 0.2 * (place - 1))
                    values.append(getattr(item, measure))
                    names.append(_words(item))
        if rows:
            figure.data.append(dots(rows, values, name, colour, names))
            drawn += values
    if not drawn:
        return None
    if measure in ("moved", "deep_moved"):
        figure.level(HALF, "", vertical=True)
    figure.rows([label(kind) for kind in order])
    figure.xaxis(rangemode="tozero")
    figure.sample = _sample(result, drawn)
    return figure


def depth(result: NewDimensionsResult) -> Sketch | None:
    """Overrides undone at every block, by new, random and old directions."""
    if not result.profile:
        return None
    figure = Sketch("block whose output is changed", MEASURES["moved"])
    x = [float(item.layer) for item in result.profile]
    drawn: list[Measured] = []
    for kind, name in ((LEADING, "undone_leading"), (RANDOM, "undone_random"), (NEW, "undone")):
        values: list[Measured] = [getattr(item, name) for item in result.profile]
        names = [
            label(f"block {item.layer}, {item.directions} new directions, ")
            + f"{number(item.removed)} of the variance"
            for item in result.profile
        ]
        figure.data += interval_curve(x, values, kind, COLOURS[kind], names)
        drawn += values
    figure.level(HALF, "half of the overrides", left=True)
    figure.xaxis(**depth_ticks(max(item.layer for item in result.profile)))
    figure.yaxis(rangemode="tozero")
    figure.sample = behind(drawn)
    return figure


def texts(result: NewDimensionsResult, measure: str) -> Sketch | None:
    """Diversity of what each model writes."""
    figure = Sketch(TEXT[measure])
    names = [label(item.label, 40) for item in result.texts]
    for row, item in enumerate(result.texts):
        colour = COLOURS.get(item.kind, BASE if item.label == "base" else FITTED)
        value = getattr(item, measure)
        figure.data.append(dots([row], [value], names[row], colour, [""], showlegend=False))
    if measure == "undone":
        figure.level(HALF, "", vertical=True)
    figure.rows(names)
    figure.xaxis(rangemode="tozero")
    figure.sample = behind(getattr(item, measure) for item in result.texts)
    return figure


def charts(result: NewDimensionsResult) -> tuple[Chart, ...]:
    """The charts of C12."""
    measure = Choice("measure", "Effect", tuple(MEASURES.items()))
    found = [
        Chart(
            "dose", *explained(__package__, "dose"),
            lambda name, given: dose(result, name, given),
            (measure, Choice("given", "In its place", tuple(PUT.items()))), height=420,
        ),
        Chart(
            "kinds", *explained(__package__, "kinds"), lambda name: kinds(result, name),
            (measure,), height=360,
        ),
    ]  # fmt: skip
    if result.profile:
        found.append(Chart("depth", *explained(__package__, "depth"), lambda: depth(result)))
    written = tuple(
        (name, words)
        for name, words in TEXT.items()
        if any(getattr(item, name).value is not None for item in result.texts)
    )
    if written:
        found.append(
            Chart(
                "texts", *explained(__package__, "texts"), lambda name: texts(result, name),
                (Choice("measure", "Measure", written),), height=90 + 40 * len(result.texts),
            )
        )  # fmt: skip
    return tuple(found)
