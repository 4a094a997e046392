"""A trace in a notebook: its figures, its tables, and one row per checkpoint to read."""

from collections.abc import Sequence
from dataclasses import dataclass

from hyperinterp.drawing.chart import Chart
from hyperinterp.report.notebook import BlockView
from hyperinterp.report.tables import Table, block_tables
from hyperinterp.report.trace.figures import charts
from hyperinterp.report.trace.schema import Trace
from hyperinterp.report.trace.writing import trace_table, trace_views
from hyperinterp.report.views import View


@dataclass(frozen=True, repr=False)
class TraceView(BlockView):
    """What `Trace.plot`, `.to_frame` and notebooks draw from."""

    block: Trace

    @property
    def charts(self) -> tuple[Chart, ...]:
        """The figures of the page, with their choices."""
        return charts(self.block)

    @property
    def tables(self) -> tuple[Table, ...]:
        """The rows of trace.csv, then those of the run's log."""
        course = self.block.course
        return (trace_table(self.block), *(block_tables(course) if course is not None else ()))

    @property
    def views(self) -> Sequence[View]:
        """Text and predictions, and the growth, by checkpoint."""
        return trace_views(self.block)
