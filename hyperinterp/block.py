"""What every block of a report can do: draw itself, and tabulate itself."""

from collections.abc import Callable
from typing import Any

_VIEWERS: list[Callable[[Any], Any]] = []


def shown_by(viewer: Callable[[Any], Any]) -> None:
    """Say what draws blocks; the report calls this, so that no analysis imports it."""
    _VIEWERS[:] = [viewer]


class Block:
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
