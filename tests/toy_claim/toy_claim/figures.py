"""Figures of T1."""

from hyperinterp.drawing.chart import Chart
from hyperinterp.drawing.dumbbell import dumbbells
from hyperinterp.drawing.sketch import Sketch
from hyperinterp.drawing.words import explained
from toy_claim.result import LengthResult


def charts(result: LengthResult) -> tuple[Chart, ...]:
    """Return the figures, the main one first."""
    words = explained(__package__, "lengths")
    return (Chart("lengths", *words, lambda: _lengths(result), height=150),)


def _lengths(result: LengthResult) -> Sketch:
    figure = Sketch("tokens")
    dumbbells(figure, [result.tokens], ["greedy text"])
    return figure
