"""What every part of a report can do: show itself in a line, draw itself, tabulate itself."""

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any

from markupsafe import Markup

from hyperinterp.errors import InputRefused

_LONGEST, _WORDS, _FEW = 240, 40, 4
_CELL = "text-align:left;vertical-align:top;padding:.25em .9em .25em 0"
_VIEWERS: list[Callable[[Any], Any]] = []


def shown_by(viewer: Callable[[Any], Any]) -> None:
    """Say what draws blocks; the report calls this, so that no analysis imports it."""
    _VIEWERS[:] = [viewer]


class Brief:
    """A dataclass whose `repr` is a line or two: collections are counted and numbers rounded.

    Equality, hash and JSON stay those of all figures. A subclass may write its own `__repr__`.
    """

    def __init_subclass__(cls, **more: Any) -> None:
        super().__init_subclass__(**more)
        if "__repr__" not in vars(cls):
            cls.__repr__ = Brief.__repr__  # before `dataclass` would write one of all figures

    def __repr__(self) -> str:
        named = (
            f"{item.name}={_shown(getattr(self, item.name))}"
            for item in fields(self)  # type: ignore[arg-type]
        )
        return f"{type(self).__name__}({_cut(', '.join(named), _LONGEST)})"

    def inside(self) -> str:
        """How it shows itself inside another one."""
        return f"{type(self).__name__}(…)"


def rounded(value: float) -> str:
    """A number with four significant digits."""
    return f"{value:.4g}"


def _shown(value: Any) -> str:
    if isinstance(value, Brief):
        return value.inside()
    if isinstance(value, float):
        return rounded(value)
    if isinstance(value, str):
        return repr(_cut(str(value), _WORDS))
    if isinstance(value, dict | tuple | list):
        plain = len(value) <= _FEW and all(isinstance(item, int | float) for item in value)
        if plain and not isinstance(value, dict):
            return f"({', '.join(map(_shown, value))})"
        return f"{len(value)} items"
    return repr(value)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def frame(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Any:
    """A pandas DataFrame, text unchanged.

    Raises:
        InputRefused: pandas is not installed.
    """
    if importlib.util.find_spec("pandas") is None:
        raise InputRefused(
            "frames: pandas is not installed; install it with `pip install 'hyperinterp[frames]'`"
        )
    import pandas as pd

    return pd.DataFrame(list(rows), columns=list(columns))


def grid(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Markup:
    """An HTML table that needs no style sheet; what is not markup already is escaped."""

    def line(tag: str, cells: Sequence[object]) -> Markup:
        cell = Markup('<{0} style="{1}">{2}</{0}>')
        inner = Markup("").join(cell.format(Markup(tag), _CELL, value) for value in cells)
        return Markup("<tr>{}</tr>").format(inner)

    body = Markup("").join(line("td", row) for row in rows)
    return Markup("<table><thead>{}</thead><tbody>{}</tbody></table>").format(
        line("th", columns), body
    )


class Block(Brief):
    """What every block of a report can do in a notebook, beside holding its figures.

    The drawing is done by `hyperinterp.report`, which has to be imported: it is whenever the
    block came from `hyperinterp.compare` or from a report that was read back.
    """

    def _viewed(self) -> Any:
        if not _VIEWERS:
            raise RuntimeError("import hyperinterp.report.schema before drawing a block")
        return _VIEWERS[0](self)

    def plot(self, figure: str | None = None, **choices: str) -> Any:
        """One plotly figure of the block; the main one when no name is given.

        Args:
            figure: its name, e.g. "profile"; `names()` lists them.
            choices: its switches, e.g. `measure="d90"`.

        Raises:
            InputRefused: no such figure, choice or option; the message lists those there are.
        """
        return self._viewed().plot(figure, **choices)

    def to_frame(self, table: str | None = None) -> Any:
        """One table of the block as a pandas DataFrame; the main one when no name is given.

        Args:
            table: its name, e.g. "sites".

        Raises:
            InputRefused: no such table, or pandas is not installed.
        """
        return self._viewed().to_frame(table)

    def names(self) -> dict[str, dict[str, tuple[str, ...]]]:
        """Every figure of the block, with the options of each of its switches."""
        return {
            chart.name: {choice.name: choice.keys for choice in chart.choices}
            for chart in self._viewed().charts
        }

    def _repr_html_(self) -> str:
        return self._viewed()._repr_html_()
