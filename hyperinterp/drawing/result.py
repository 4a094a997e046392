"""Results that draw and tabulate themselves with the figures and tables of their own folder."""

import importlib
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from hyperinterp.brief import Brief
from hyperinterp.drawing.chart import Chart
from hyperinterp.drawing.rendering import dataset, frame, html_folded
from hyperinterp.drawing.table import Table
from hyperinterp.errors import InputRefused

if TYPE_CHECKING:
    import plotly.graph_objects as go


class Result(Brief):
    """Plain values that find their figures and tables by name.

    A result of the module `package.result` is drawn by `package.figures.charts(result)` and
    tabulated by `package.tables.tables(result)`; a folder without these modules has none.
    """

    def _made(self, name: str) -> Any:
        """Return the result of the function of a name; nothing without its module."""
        package = type(self).__module__.rpartition(".")[0]
        where = f"{package}.{'figures' if name == 'charts' else name}"
        try:
            module = importlib.import_module(where)
        except ModuleNotFoundError as error:
            if error.name != where:
                raise
            return ()
        return getattr(module, name)(self)

    def _slug(self) -> str:
        return type(self).__module__.split(".")[-2]

    def charts(self) -> tuple[Chart, ...]:
        """Return every figure, the main one first."""
        return tuple(self._made("charts"))

    def tables(self) -> tuple[Table, ...]:
        """Return every table, the main one first."""
        return tuple(self._made("tables"))

    def plot(self, figure: str | None = None, **choices: str) -> "go.Figure":
        """Draw one figure; the main one when no name is given.

        Args:
            figure: its name, e.g. "profile"; `names()` lists them.
            choices: its switches, e.g. `measure="d90"`.

        Raises:
            InputRefused: no such figure, choice or option; the message lists those there are.
        """
        known = {chart.name: chart for chart in self.charts()}
        if not known:
            raise InputRefused(
                f"{self._slug()}: this result has no figure; read its tables with to_frame()"
            )
        if figure is not None and figure not in known:
            raise InputRefused(f"{self._slug()}: expected one of {list(known)}, found {figure!r}")
        return known[figure or next(iter(known))].figure(**choices)

    def to_frame(self, table: str | None = None) -> Any:
        """Return one table as a pandas DataFrame; the main one when no name is given.

        Args:
            table: its name, e.g. "sites".

        Raises:
            InputRefused: no such table, or pandas is not installed.
        """
        return frame(self._table(table))

    def to_dataset(self, table: str | None = None) -> Any:
        """Return one table as a Hugging Face Dataset; the main one when no name is given.

        Args:
            table: its name, e.g. "sites".

        Raises:
            InputRefused: no such table, or datasets is not installed.
        """
        return dataset(self._table(table))

    def _table(self, table: str | None) -> Table:
        """Return one table by its name."""
        known = {item.name: item for item in self.tables()}
        if not known:
            raise InputRefused(f"{self._slug()}: this result has no table; read its fields instead")
        if table is not None and table not in known:
            raise InputRefused(f"{self._slug()}: expected one of {list(known)}, found {table!r}")
        return known[table or next(iter(known))]

    def names(self) -> dict[str, dict[str, tuple[str, ...]]]:
        """Return every figure by name, with the options of each of its switches."""
        return {
            chart.name: {choice.name: choice.keys for choice in chart.choices}
            for chart in self.charts()
        }

    def _repr_html_(self) -> str:
        sheets = (sheet for item in self.tables() for sheet in item.sheets())
        return str(Markup("").join(map(html_folded, sheets)))
