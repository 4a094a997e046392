"""A table of the report: rows of plain values that become CSV, data frames or HTML."""

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hyperinterp.analyses.results import Measured, Pair
from hyperinterp.drawing.escape import cell

Value = str | int | float | bool | None


@dataclass(frozen=True)
class Table:
    """Rows under named columns.

    Attributes:
        name: stem of the CSV file, e.g. "geometry_sites".
        title: words above it.
        columns: column names.
        rows: one value per column; None where there is nothing.
    """

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Value, ...], ...]

    def csv(self) -> str:
        """CSV with a header; text made visible, formulas disarmed, nothing for None."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(self.columns)
        for row in self.rows:
            writer.writerow([cell(value) if isinstance(value, str) else value for value in row])
        return out.getvalue()


def table(name: str, title: str, records: Iterable[Mapping[str, Value]]) -> Table:
    """A table from records; columns in the order in which they first occur."""
    rows = list(records)
    columns = tuple(dict.fromkeys(key for row in rows for key in row))
    return Table(name, title, columns, tuple(tuple(row.get(c) for c in columns) for row in rows))


def spread(name: str, figure: Measured) -> dict[str, Value]:
    """A figure as columns: value, interval ends, and the reason when it is missing."""
    found: dict[str, Value] = {
        name: figure.value,
        f"{name}_lo": figure.lo,
        f"{name}_hi": figure.hi,
    }
    if figure.value is None:
        found[f"{name}_missing"] = figure.reason
    return found


def spread_pair(pair: Pair) -> dict[str, Value]:
    """Base, fitted and delta as columns."""
    return {
        **spread("base", pair.base),
        **spread("fitted", pair.fitted),
        **spread("delta", pair.delta),
        "n": pair.delta.n or pair.base.n,
    }


def figures(name: str, title: str, rows: Mapping[str, Measured]) -> Table:
    """A table of single figures, one per row."""
    return table(
        name,
        title,
        (
            {"figure": key, **spread("value", item), "n": item.n, "method": item.method}
            for key, item in rows.items()
        ),
    )
