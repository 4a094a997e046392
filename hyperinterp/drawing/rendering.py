"""Tables as CSV, data frames, Markdown, LaTeX and HTML."""

import csv
import importlib.util
import io
import re
from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from hyperinterp.claims.spec import Measured
from hyperinterp.drawing import escape, numbers
from hyperinterp.drawing.table import Cell, Sheet, Table
from hyperinterp.errors import InputRefused

_CELL = "text-align:left;vertical-align:top;padding:.25em .9em .25em 0"


def _data(table: Table) -> tuple[list[str], list[list[Any]]]:
    """Columns and rows to compute with."""
    records = table.records()
    columns = list(dict.fromkeys(key for row in records for key in row))
    return columns, [[row.get(key) for key in columns] for row in records]


def csv_text(table: Table) -> str:
    """Return CSV with a header: text made visible, formulas disarmed, nothing for None."""
    columns, rows = _data(table)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([escape.cell(item) if isinstance(item, str) else item for item in row])
    return out.getvalue()


def frame(table: Table) -> Any:
    """Return a pandas DataFrame, text unchanged.

    Raises:
        InputRefused: pandas is not installed.
    """
    if importlib.util.find_spec("pandas") is None:
        raise InputRefused(
            "frames: pandas is not installed; install it with `pip install 'hyperinterp[frames]'`"
        )
    import pandas as pd

    columns, rows = _data(table)
    return pd.DataFrame(rows, columns=columns)


def dataset(table: Table) -> Any:
    """Return a Hugging Face Dataset, text unchanged; a column of several kinds holds words.

    Raises:
        InputRefused: datasets is not installed.
    """
    if importlib.util.find_spec("datasets") is None:
        raise InputRefused(
            "data: datasets is not installed; install it with `pip install 'hyperinterp[data]'`"
        )
    from datasets import Dataset

    columns, rows = _data(table)
    return Dataset.from_dict(
        {name: _of_one_kind([row[at] for row in rows]) for at, name in enumerate(columns)}
    )


def _of_one_kind(items: list[Any]) -> list[Any]:
    """A column as it is, where it holds numbers or one kind of value; else as words."""
    kinds = {type(item) for item in items if item is not None}
    if len(kinds) <= 1:
        return items
    if kinds == {int, float}:
        return [None if item is None else float(item) for item in items]
    return [None if item is None else str(item) for item in items]


# -- Markdown and LaTeX --------------------------------------------------------------------


def cell_words(value: Cell) -> str:
    """Return a cell as plain words: a measured value with its interval or the reason."""
    if isinstance(value, Measured):
        return numbers.words(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) or value is None:
        return numbers.number(value)
    return numbers.count(value) if isinstance(value, int) else value


def absent(reason: str) -> str:
    """Return the sentence that stands where something is not there.

    Args:
        reason: why, with or without a full stop.
    """
    return f"Not in this report: {reason.rstrip('.')}."


def markdown_grid(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table whose source lines up; the cells are escaped already."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(c.ljust(w) for c, w in zip(cells, widths, strict=True)) + " |"

    return [line(head), "|" + "|".join("-" * (w + 2) for w in widths) + "|", *map(line, rows), ""]


def markdown(sheet: Sheet, only: Sequence[int] = ()) -> list[str]:
    """Return a sheet as lines of Markdown.

    Args:
        sheet: what to write.
        only: numbers of the rows to keep; all when empty.
    """
    if sheet.missing:
        return [escape.markdown(f"{sheet.title}: {absent(sheet.missing)}"), ""]
    rows = [sheet.rows[index] for index in only] if only else sheet.rows
    told = [[escape.markdown(cell_words(value)) for value in row] for row in rows]
    lines = [f"{escape.markdown(sheet.title)}.", ""]
    lines += markdown_grid([escape.markdown(name) for name in sheet.columns], told)
    return [*lines, escape.markdown(sheet.note), ""] if sheet.note else lines


def latex_number(text: str) -> str:
    """Return a number or an interval in maths mode, so that its minus is one; a dash for none."""
    if not text or text == numbers.DASH:
        return "--"
    grouped = re.sub(r",(?=\d)", "{,}", text).replace(", ", r",\ ")
    return f"${grouped.replace(numbers.MINUS, '-')}$"


def latex_prose(text: str) -> str:
    """Return words with numbers and options among them."""
    plain = escape.latex(text).replace("--", "-{}-").replace("\u00a0", "~")
    return plain.replace(numbers.MINUS, "$-$").replace(numbers.DASH, "--")


def latex(sheet: Sheet) -> str:
    """Return a sheet as a `tabular` (booktabs)."""

    def words(value: Cell) -> str:
        if isinstance(value, str | bool) or (isinstance(value, Measured) and value.value is None):
            return latex_prose(cell_words(value))
        return latex_number(cell_words(value))

    lines = [" & ".join(map(words, row)) + r" \\" for row in sheet.rows]
    head = " & ".join(map(latex_prose, sheet.columns)) + r" \\"
    columns = "l" + "r" * (len(sheet.columns) - 1)
    start = rf"\begin{{tabular}}{{@{{}}{columns}@{{}}}}" + "\n" + r"\toprule"
    end = r"\bottomrule" + "\n" + r"\end{tabular}"
    return "\n".join([start, head, r"\midrule", *lines, end]) + "\n"


# -- HTML ------------------------------------------------------------------------------------


def html_cell(value: object, reasons: Sequence[str] = ()) -> Markup:
    """Return any value of a table cell.

    Args:
        value: a measured value, a number, a text or None.
        reasons: why values of this table are missing; a missing one then names its reason by
            number instead of spelling it out.
    """
    if value is None or value == numbers.DASH:
        return Markup('<span class="none">{}</span>').format(numbers.DASH)
    if isinstance(value, Measured):
        return html_measured(value, reasons)
    if isinstance(value, bool):
        return Markup("{}").format("yes" if value else "no")
    if isinstance(value, float):
        return Markup("{}").format(numbers.number(value))
    if isinstance(value, int):
        return Markup("{}").format(numbers.count(value))
    return escape.bdi(str(value))


def html_measured(item: Measured, reasons: Sequence[str] = ()) -> Markup:
    """Return a value with its interval; without one why, or the number of the reason.

    No dash stands beside a number, where it would read as a minus.
    """
    if item.value is None:
        if item.reason in reasons:
            place = reasons.index(item.reason) + 1
            return Markup('<span class="none">none<sup>{}</sup></span>').format(place)
        return Markup('<span class="none">{} ({})</span>').format(
            numbers.DASH, escape.html_text(item.reason)
        )
    ends = numbers.interval(item.lo, item.hi)
    return Markup('<span class="figure" title="{}">{}{}</span>').format(
        escape.visible(f"n = {item.n} {item.unit}; {item.method}") if ends else "",
        numbers.number(item.value),
        Markup(' <span class="ends">{}</span>').format(ends) if ends else "",
    )


def html_grid(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Markup:
    """Return a table that needs no style sheet; what is not markup already is escaped."""

    def line(tag: str, cells: Sequence[object]) -> Markup:
        cell = Markup('<{0} style="{1}">{2}</{0}>')
        inner = Markup("").join(cell.format(Markup(tag), _CELL, value) for value in cells)
        return Markup("<tr>{}</tr>").format(inner)

    body = Markup("").join(line("td", row) for row in rows)
    return Markup("<table><thead>{}</thead><tbody>{}</tbody></table>").format(
        line("th", columns), body
    )


def html_folded(sheet: Sheet) -> Markup:
    """Return a sheet for a notebook, folded as on the page."""
    rows = [tuple(html_cell(value) for value in row) for row in sheet.rows]
    inner = (
        escape.html_text(absent(sheet.missing)) if sheet.missing else html_grid(sheet.columns, rows)
    )
    return Markup("<details{}><summary>{}</summary>{}</details>").format(
        Markup("" if sheet.shut else " open"),
        escape.html_text(sheet.title),
        inner,
    )
