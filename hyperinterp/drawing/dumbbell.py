"""Base and fitted on one row each, joined: the difference is what is seen."""

from collections.abc import Sequence

from hyperinterp.claims.spec import Measured, Pair
from hyperinterp.drawing.chart import dots
from hyperinterp.drawing.sketch import Sketch
from hyperinterp.drawing.theme import BASE, FITTED, LINE

_ASIDE, _CLOSE = 0.14, 0.02  # of a row's height; of the axis


def dumbbells(figure: Sketch, pairs: Sequence[Pair], names: list[str]) -> None:
    """One row per pair; base a little above and fitted below where they would cover each other.

    Args:
        figure: gets the traces and the rows.
        pairs: figures of both models.
        names: (already escaped) words for the rows, also on hover.
    """
    widest = max((end for pair in pairs for end in _ends(pair.base, pair.fitted)), default=1.0)
    for row, pair in enumerate(pairs):
        if pair.base.value is not None and pair.fitted.value is not None:
            figure.add(
                "scatter",
                x=[pair.base.value, pair.fitted.value], y=[row, row], mode="lines",
                line={"color": LINE, "width": 3}, hoverinfo="skip", showlegend=False,
            )  # fmt: skip
    aside = [_ASIDE * _covers(pair, _CLOSE * widest) for pair in pairs]
    for part, colour, sign in (("base", BASE, -1), ("fitted", FITTED, 1)):
        places = [row + sign * shift for row, shift in enumerate(aside)]
        figures = [getattr(pair, part) for pair in pairs]
        figure.data.append(dots(places, figures, part, colour, names))
    figure.rows(names)
    figure.xaxis(rangemode="tozero")


def _ends(*figures: Measured) -> list[float]:
    return [end for item in figures for end in (item.lo, item.value, item.hi) if end is not None]


def _covers(pair: Pair, close: float) -> bool:
    """Return whether the two intervals (points, without one) meet, or nearly so."""
    base, fitted = _ends(pair.base), _ends(pair.fitted)
    if not base or not fitted:
        return False
    return min(base) <= max(fitted) + close and min(fitted) <= max(base) + close
