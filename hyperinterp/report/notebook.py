"""What a notebook calls: `report.geometry.plot()`, `report.plot("geometry")`, `view(block)`.

A layer imports only from layers to its left, so the blocks of `hyperinterp.analyses` draw
nothing themselves: their `.plot()` and `.to_frame()` call `view`, which `report.schema` registers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go
from markupsafe import Markup

from hyperinterp.block import frame, grid
from hyperinterp.drawing.chart import Chart
from hyperinterp.drawing.escape import bdi, html_text
from hyperinterp.drawing.numbers import DASH
from hyperinterp.drawing.table import Table
from hyperinterp.errors import InputRefused
from hyperinterp.report import claims, html, summary
from hyperinterp.report.figures import charts
from hyperinterp.report.nulls import caveat
from hyperinterp.report.schema import BLOCKS, Report
from hyperinterp.report.tables import block_tables, claim_tables
from hyperinterp.report.views import VIEWS, View


@dataclass(frozen=True)
class BlockView:
    """A block of figures with pictures and frames.

    Attributes:
        name: name of the block in a report, e.g. "geometry".
        block: the frozen dataclass itself.
    """

    name: str
    block: object

    def __repr__(self) -> str:
        figures = ", ".join(chart.name for chart in self.charts)
        return f"<{self.name}: figures {figures}; .plot(figure, **choices), .to_frame(table)>"

    @property
    def charts(self) -> tuple[Chart, ...]:
        """Every figure of the block, with its choices."""
        return charts(self.block)

    @property
    def tables(self) -> tuple[Table, ...]:
        """Every table of the block, the main one first."""
        return block_tables(self.block)

    @property
    def views(self) -> Sequence[View]:
        """Every table to read in a notebook."""
        return VIEWS[self.name](self.block)

    def plot(self, figure: str | None = None, **choices: str) -> go.Figure:
        """One figure; the main one when no name is given.

        Args:
            figure: name of the figure, e.g. "profile".
            choices: its switches, e.g. `measure="d90", rows="standardised"`.

        Raises:
            InputRefused: no such figure, choice or option; the message lists those there are.
        """
        known = {chart.name: chart for chart in self.charts}
        if not known:
            raise InputRefused(
                f"{self.name}: there is no figure in this block; call to_frame() for its table"
            )
        if figure is not None and figure not in known:
            raise InputRefused(f"{self.name}: expected one of {list(known)}, found {figure!r}")
        return known[figure or next(iter(known))].figure(**choices)

    def to_frame(self, table: str | None = None) -> Any:
        """One table as a pandas DataFrame; the main one when no name is given.

        Raises:
            InputRefused: no such table, or pandas is not installed.
        """
        prefix = f"{self.name}_"
        known = {item.name.removeprefix(prefix): item for item in self.tables}
        if table is not None and table not in known:
            raise InputRefused(f"{self.name}: expected one of {list(known)}, found {table!r}")
        chosen = known[table or next(iter(known))]
        return frame(chosen.columns, chosen.rows)

    def _repr_html_(self) -> str:
        return str(Markup("").join(_folded(item) for item in self.views))


def view(block: object) -> BlockView:
    """Any block with `.plot()`, `.to_frame()` and a notebook table.

    Raises:
        TypeError: not a block of a report.
    """
    charts(block)
    stem = type(block).__name__.removesuffix("Block")
    name = "".join(f"_{c.lower()}" if c.isupper() else c for c in stem).lstrip("_")
    return BlockView(name, block)


def report_view(report: Report, name: str) -> BlockView:
    """The view of one block of a report, by name.

    Raises:
        InputRefused: no such block, or it is not in this report, with the reason.
    """
    if name not in BLOCKS:
        raise InputRefused(f"block: expected one of {list(BLOCKS)}, found {name!r}")
    block = getattr(report, name)
    if block is None:
        raise InputRefused(f"{name}: not in this report: {report.absent.get(name, 'not run')}")
    return BlockView(name, block)


def report_frame(report: Report, name: str, table: str | None) -> Any:
    """A block's table, or "claims" and "conditions", as a DataFrame."""
    own = {item.name: item for item in claim_tables(report.claims)}
    if name in own:
        return frame(own[name].columns, own[name].rows)
    return report_view(report, name).to_frame(table)


def report_html(report: Report) -> str:
    """Title, summary and claims as a fragment that needs no style sheet and no script."""
    rows = [
        (
            claim.id,
            f"{summary.ICONS[claim.verdict]} {claim.verdict}",
            html_text(claim.statement),
            claims.effect_words(claim),
            claims.required(claim),
            claim.n or DASH,
            html_text(claims.decided(claim)) + _but(caveat(report, claim)),
        )
        for claim in claims.asked(report.claims)
    ]
    head = Markup("<p><b>{} against {}</b></p><p>{}</p>").format(
        bdi(summary.name_of(report, "fitted")),
        bdi(summary.name_of(report, "base")),
        summary.headline(report),
    )
    columns = ("", "verdict", "claim", "effect", "required", "n", "")
    left_out = claims.left_out(report.claims)
    foot = Markup("<p>Not asked for (--claims): {}</p>").format(left_out) if left_out else ""
    return str(head + grid(columns, rows) + foot)


def _but(warned: str) -> Markup:
    return Markup("<br>But: {}").format(warned) if warned else Markup("")


def _folded(item: View) -> Markup:
    rows = [tuple(html.cell(value) for value in row) for row in item.rows]
    return Markup("<details{}><summary>{}</summary>{}</details>").format(
        Markup("" if item.shut else " open"), html_text(item.title), grid(item.columns, rows)
    )
