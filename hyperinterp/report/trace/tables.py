"""Tables of a trace: every value, and one row per checkpoint to read."""

from collections.abc import Iterator

from hyperinterp.claims.spec import Measured
from hyperinterp.drawing.names import metric_name
from hyperinterp.drawing.table import Cell, Table, table
from hyperinterp.report.trace.data import TraceData, TracePoint
from hyperinterp.report.trace.figures import MEASURES

_SHOWN = ("ttr", "rep_4", "entropy", "heldout_loss", "override_rate", "deep_share")


def tables(trace: TraceData) -> tuple[Table, ...]:
    """Return the rows of trace.csv, the tables to read, and those of the run's log."""
    curve = trace.training_curve
    return (
        trace_table(trace),
        *read_tables(trace),
        *(curve.tables() if curve is not None else ()),
    )


def read_tables(trace: TraceData) -> tuple[Table, Table]:
    """Return a row per checkpoint: text and predictions, then the growth of the feature space."""
    return _summary(trace), _growth(trace)


def _summary(trace: TraceData) -> Table:
    records = (
        {
            "checkpoint": " = ".join((point.name, *point.also)),
            "epoch": point.epoch,
            "train_loss": point.train_loss,
            **{name: point.observed.figures[name] for name in _SHOWN},
        }
        for point in trace.points
    )
    read = {"checkpoint": "checkpoint", "epoch": "epoch", "train_loss": "training loss"}
    read |= {name: MEASURES[name] for name in _SHOWN}
    return table("summary", "Text and predictions", records, read)


def _growth(trace: TraceData) -> Table:
    records = (
        {
            "checkpoint": point.name, "last_block": found.last_block,
            "largest_other": found.largest_other, "largest_block": found.largest_block,
            "contrast": found.contrast, "final_norm": found.final_norm,
        }
        for point in trace.points
        if (found := point.observed.growth) is not None
    )  # fmt: skip
    read = {
        "checkpoint": "checkpoint", "last_block": "last block",
        "largest_other": "largest other block", "largest_block": "which",
        "contrast": "margin over the largest other", "final_norm": "final norm (post-norm)",
    }  # fmt: skip
    title = f"Growth since the base: {metric_name('pr_corrected')}"
    return table("growth", title, records, read)


def trace_table(trace: TraceData) -> Table:
    """Return a row per checkpoint, measure and site: value, change since the base, intervals."""
    return table("trace", "Trace", (row for point in trace.points for row in _rows(point)))


def _rows(point: TracePoint) -> Iterator[dict[str, Cell]]:
    observed = point.observed
    for name, figure in observed.figures.items():
        yield _row(point, name, "", figure, observed.changes.get(name))
    for site in observed.sites:
        for name, figure in site.figures.items():
            yield _row(point, name, site.key, figure, site.changes.get(name))
    if observed.growth is not None:
        yield _row(point, "growth_contrast", "", observed.growth.contrast, None)


def _row(
    point: TracePoint, name: str, site: str, figure: Measured, change: Measured | None
) -> dict[str, Cell]:
    gap = Measured(None, reason="the base itself" if point.step == 0 else "not a difference")
    return {
        "checkpoint": point.name,
        "step": point.step,
        "epoch": point.epoch,
        "train_loss": point.train_loss.value,
        "measure": name,
        "site": site,
        "value": figure,
        "change": change or gap,
        "n": figure.n,
    }
