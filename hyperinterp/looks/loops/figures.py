"""Figures of the look at loops."""

from collections.abc import Sequence

from hyperinterp.claims.spec import Measured, Pair
from hyperinterp.drawing.axes import log_ticks
from hyperinterp.drawing.chart import Chart, Choice, interval_curve
from hyperinterp.drawing.sketch import Sketch
from hyperinterp.drawing.theme import BASE, FITTED
from hyperinterp.drawing.words import explained
from hyperinterp.looks.loops.result import LoopsResult

QUANTITIES = {
    "probability": "probability of the span's tokens",
    "chosen": "share of the span's tokens chosen",
}


def _both(figure: Sketch, x: Sequence[int], pairs: Sequence[Pair], unit: str) -> Sketch:
    """Curves of both models."""
    names = [f"{value} {unit}" for value in x]
    for role, colour in (("base", BASE), ("fitted", FITTED)):
        found: list[Measured] = [getattr(pair, role) for pair in pairs]
        figure.data += interval_curve(x, found, role, colour, names)
    return figure


def turns(result: LoopsResult, quantity: str) -> Sketch | None:
    """A span after copies of itself, under both models."""
    if not result.turns:
        return None
    figure = Sketch("copies of the span before it", QUANTITIES[quantity])
    pairs = [getattr(item, quantity) for item in result.turns]
    figure.yaxis(range=[0, 1.02])
    return _both(figure, [item.copies for item in result.turns], pairs, "copies")


def lengths(result: LoopsResult) -> Sketch | None:
    """The type-token ratio of the first ids of long texts."""
    if not result.lengths:
        return None
    figure = Sketch("first tokens of a greedy text", "type-token ratio")
    figure.xaxis(**log_ticks(item.tokens for item in result.lengths))
    figure.yaxis(range=[0, 1.02])
    pairs = [item.ttr for item in result.lengths]
    return _both(figure, [item.tokens for item in result.lengths], pairs, "tokens")


def charts(result: LoopsResult) -> tuple[Chart, ...]:
    """Return the figures, the main one first."""
    found: list[Chart] = []
    if result.turns:
        choice = Choice("quantity", "Quantity", tuple(QUANTITIES.items()))
        found.append(
            Chart(
                "turns", *explained(__package__, "turns"),
                lambda quantity: turns(result, quantity), (choice,), height=360,
            )
        )  # fmt: skip
    if result.lengths:
        found.append(Chart("lengths", *explained(__package__, "lengths"), lambda: lengths(result)))
    return tuple(found)
