"""A table to read: a figure with its interval is one cell."""

from collections.abc import Mapping
from dataclasses import dataclass

from hyperinterp.analyses.results import Measured, Pair

Cell = str | int | float | Measured | None


@dataclass(frozen=True)
class View:
    """A table to read.

    Attributes:
        title: words above it.
        columns: column names.
        rows: one cell per column.
        shut: folded until asked for.
        note: what has to be known to read it; "" when nothing.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    shut: bool = False
    note: str = ""

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why figures are missing, each reason once, in the order of the rows."""
        missing = (
            cell.reason
            for row in self.rows
            for cell in row
            if isinstance(cell, Measured) and cell.value is None
        )
        return tuple(dict.fromkeys(missing))


def pairs(title: str, found: Mapping[str, Pair], second: str = "fitted", note: str = "") -> View:
    """Both models side by side, with the paired difference."""
    rows = tuple((name, pair.base, pair.fitted, pair.delta) for name, pair in found.items())
    return View(title, ("measure", "base", second, f"{second} − base"), rows, note=note)


def figures(title: str, rows: Mapping[str, Cell], note: str = "") -> View:
    """Single figures, one per row."""
    return View(title, ("figure", "value"), tuple(rows.items()), note=note)
