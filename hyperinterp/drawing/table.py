"""Tables, stated once: records of values under named columns, to be read or to be computed with."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from hyperinterp.claims.spec import Measured, Pair

Cell = str | int | float | bool | Measured | None
Heading = str | tuple[str, Callable[[Any], Cell]]
"""Words above a column that is read, alone or with what turns its values into words."""


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        key: its name in CSV files and data frames.
        words: its heading where the table is read; "" leaves it out there.
        form: how a value is read, where that is not as it is.
    """

    key: str
    words: str = ""
    form: Callable[[Any], Cell] | None = None


@dataclass(frozen=True)
class Sheet:
    """A table as it is read: a measured value with its interval is one cell.

    Attributes:
        title: words above it.
        columns: headings.
        rows: one cell per column.
        shut: folded until asked for.
        note: what has to be known to read it; "" when nothing.
        missing: why it has no rows; "" when it has.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    shut: bool = False
    note: str = ""
    missing: str = ""

    @property
    def reasons(self) -> tuple[str, ...]:
        """Return the reasons of missing values, each once, in the order of the rows."""
        missing = (
            cell.reason
            for row in self.rows
            for cell in row
            if isinstance(cell, Measured) and cell.value is None
        )
        return tuple(dict.fromkeys(missing))


@dataclass(frozen=True)
class Table:
    """Rows under columns.

    Attributes:
        name: within its result, e.g. "sites".
        title: words above it.
        columns: what the rows hold.
        rows: one cell per column; None where there is nothing.
        note: what has to be known to read it; "" when nothing.
        shut: folded on the page until asked for.
        open_rows: so many rows are read at once, the others are folded; None for all.
        brief: numbers of the rows that stand for a folded table where nothing folds.
        missing: why it has no rows, to be read in its place; "" leaves it out there.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""
    shut: bool = False
    open_rows: int | None = None
    brief: tuple[int, ...] = ()
    missing: str = ""

    def sheets(self) -> tuple[Sheet, ...]:
        """Return the table as it is read: nothing where no column has a heading or no row is.

        Without rows, the reason stands in their place where there is one.
        """
        if not self.rows and self.missing:
            return (Sheet(self.title, (), (), missing=self.missing),)
        shown = [index for index, column in enumerate(self.columns) if column.words]
        if not shown or not self.rows:
            return ()
        headings = tuple(self.columns[index].words for index in shown)
        rows = tuple(tuple(self._read(row, index) for index in shown) for row in self.rows)
        cut = self.open_rows
        if cut is None or self.shut or len(rows) <= cut:
            return (Sheet(self.title, headings, rows, self.shut, self.note),)
        rest = f"Further {self.title[0].lower()}{self.title[1:]}"
        return (
            Sheet(self.title, headings, rows[:cut], note=self.note),
            Sheet(rest, headings, rows[cut:], shut=True),
        )

    def _read(self, row: tuple[Cell, ...], index: int) -> Cell:
        form, value = self.columns[index].form, row[index]
        return value if form is None else form(value)

    def records(self) -> list[dict[str, str | int | float | bool | None]]:
        """Return plain rows to compute with.

        A measured value becomes its value, `_lo`, `_hi` and, where one is missing, `_missing`.
        """
        return [
            {
                key: plain
                for column, cell in zip(self.columns, row, strict=True)
                for key, plain in _plain(column.key, cell).items()
            }
            for row in self.rows
        ]


def _plain(key: str, cell: Cell) -> dict[str, str | int | float | bool | None]:
    if not isinstance(cell, Measured):
        return {key: cell}
    found: dict[str, str | int | float | bool | None] = {
        key: cell.value,
        f"{key}_lo": cell.lo,
        f"{key}_hi": cell.hi,
    }
    return found if cell.value is not None else found | {f"{key}_missing": cell.reason}


def table(
    name: str,
    title: str,
    records: Iterable[Mapping[str, Cell]],
    read: Mapping[str, Heading] | None = None,
    **more: Any,
) -> Table:
    """Make a table from records; columns stand in the order in which they first occur.

    Args:
        name: within its result.
        title: words above it.
        records: one mapping per row.
        read: headings of the columns that are read, by key; none for a table that is only a file.
        more: `note`, `shut`, `open_rows`, `brief`, `missing`.
    """
    rows = list(records)
    keys = list(dict.fromkeys(key for row in rows for key in row))
    columns = []
    for key in keys:
        heading = (read or {}).get(key, "")
        words, form = (heading, None) if isinstance(heading, str) else heading
        columns.append(Column(key, words, form))
    cells = tuple(tuple(row.get(key) for key in keys) for row in rows)
    return Table(name, title, tuple(columns), cells, **more)


def values(name: str, title: str, rows: Mapping[str, Cell], **more: Any) -> Table:
    """Make a table of single values, one per row.

    Args:
        name: within its result.
        title: words above it.
        rows: by the words beside each.
        more: `note`, `shut`.
    """
    records = (
        {"quantity": key, "value": item}
        | ({"n": item.n, "method": item.method} if isinstance(item, Measured) else {})
        for key, item in rows.items()
    )
    return table(name, title, records, {"quantity": "quantity", "value": "value"}, **more)


def pairs(
    name: str, title: str, rows: Mapping[str, Pair], second: str = "fitted", **more: Any
) -> Table:
    """Make a table of both models side by side, with the paired difference.

    Args:
        name: within its result.
        title: words above it.
        rows: by measure: its key, or its key and words as `key|words`.
        second: what the model beside the base is called.
        more: `note`, `shut`.
    """
    records = (
        {
            "measure": key.partition("|")[0], "words": key.partition("|")[2] or key,
            **sides(pair, second),
        }
        for key, pair in rows.items()
    )  # fmt: skip
    read = {"words": "measure", "base": "base", second: second, "delta": f"{second} − base"}
    return table(name, title, records, read, **more)


def sides(pair: Pair, second: str = "fitted") -> dict[str, Cell]:
    """Return base, fitted and delta as cells, and how many units stand behind them."""
    count = pair.delta.n or pair.base.n
    return {"base": pair.base, second: pair.fitted, "delta": pair.delta, "n": count}
