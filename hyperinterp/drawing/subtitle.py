"""The line under a figure's title: which options are drawn, and how much stands behind it."""

import textwrap
from collections.abc import Iterable, Sequence

from hyperinterp.claims.spec import Measured
from hyperinterp.drawing.escape import label, visible
from hyperinterp.drawing.numbers import count

_DOT = " · "


def behind(figures: Iterable[Measured], *more: str) -> str:
    """Return the sample behind the quantities, e.g. `n = 24 prompts, 384 decisions`.

    Args:
        figures: those that are drawn; where their numbers differ, the range is told.
        more: further words, e.g. "384 decisions".
    """
    sizes: dict[str, list[int]] = {}
    for item in figures:
        if item.value is not None and item.n and item.unit:
            sizes.setdefault(item.unit, []).append(item.n)
    told = [
        f"{_range(found)} {unit}{'' if max(found) == 1 else 's'}" for unit, found in sizes.items()
    ]
    return f"n = {', '.join((*told, *more))}" if told or more else ""


def _range(numbers: Sequence[int]) -> str:
    least, most = min(numbers), max(numbers)
    return count(least) if least == most else f"{count(least)} to {count(most)}"


def lines(parts: Iterable[str], width: int) -> list[str]:
    """The parts, joined by dots and set in escaped lines of at most `width` characters.

    A part that fits a line is not broken.
    """
    found: list[str] = []
    for part in filter(None, map(visible, parts)):
        joined = f"{found[-1]}{_DOT}{part}" if found else part
        if len(joined) <= width:
            found[-1:] = [joined]
        else:
            found += textwrap.wrap(part, width, break_on_hyphens=False)
    return [label(line, width) for line in found]
