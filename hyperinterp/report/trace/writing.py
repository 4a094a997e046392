"""The files of a trace: trace.json, trace.csv, trace.html and static figures."""

from collections.abc import Iterator
from pathlib import Path

from hyperinterp.analyses.results import Measured
from hyperinterp.drawing.table import Table, Value, spread, table
from hyperinterp.report import export, html
from hyperinterp.report.figures.geometry import metric_name
from hyperinterp.report.sections import Section
from hyperinterp.report.trace.figures import MEASURES, charts
from hyperinterp.report.trace.schema import Trace, TracePoint
from hyperinterp.report.views import View
from hyperinterp.report.writing import publish, refuse

FILES = ("trace.json", "trace.csv", "trace.html")


def save_trace(
    trace: Trace, out: str | Path, *, figures: tuple[str, ...] = (), force: bool = False
) -> dict[str, Path]:
    """Write trace.json, trace.csv, trace.html and figures to a new directory.

    Args:
        trace: What to write.
        out: The directory to make. An empty one is fine.
        figures: Formats of static figures, "png" and "svg"; needs the `figures` extra.
        force: Replace a directory that holds nothing but an earlier trace.

    Returns:
        The path of every file written, by its name relative to `out`.

    Raises:
        InputRefused: `out` is there already (without `force`), holds other things than a trace,
            or cannot be written; an unknown format, or the extra is not installed.
        OutOfResources: The disk is full. Nothing is left behind.
    """
    target = Path(out)
    check_trace(target, figures, force=force)
    texts = {
        "trace.json": trace.to_json(),
        "trace.csv": trace_table(trace).csv(),
        "trace.html": render(trace),
    }
    content = {name: text.encode("utf-8", "backslashreplace") for name, text in texts.items()}
    return publish(target, content, lambda: export.first_figures("trace", charts(trace)), figures)


def check_trace(out: Path, figures: tuple[str, ...], *, force: bool) -> None:
    """Refuse, before any work, what `save_trace` would refuse."""
    refuse(out, {*FILES, "figures"}, "a trace", force=force)
    export.check(figures)


def render(trace: Trace) -> str:
    """The page: figures against the training loss, the figures as a table, provenance."""
    question = "What changes when, while the model learns its passages by heart?"
    section = Section("trace", "Along the run", question, "trace", None, "", charts(trace), ())
    views = trace_views(trace)
    table_of = Section("figures", "In figures", "The same, as a table.", "", None, "", (), views)
    return html.page(
        "trace.html.j2",
        trace,
        [section, table_of],
        f"Trace of {trace.run}",
        files=("trace.json", "trace.csv"),
        what=_what(trace),
    )


def _what(trace: Trace) -> str:
    data, recipe = trace.data, trace.recipe
    blocks = f", last {recipe['layers']} blocks" if recipe.get("method") == "late-stage" else ""
    passages = data.get("passages")
    told = f" on {passages} passages" if isinstance(passages, int) else ""
    return f"Method {recipe.get('method', 'unknown')}{blocks}{told}."


_SHOWN = ("ttr", "rep_4", "entropy", "heldout_loss", "override_rate", "deep_share")


def trace_views(trace: Trace) -> tuple[View, View]:
    """One row per checkpoint: text and predictions, then the growth of the feature space."""
    return _summary(trace), _growths(trace)


def _summary(trace: Trace) -> View:
    columns = ("checkpoint", "epoch", "training loss", *(MEASURES[name] for name in _SHOWN))
    rows = tuple(
        (
            " = ".join((point.name, *point.also)),
            point.epoch,
            point.train_loss,
            *(point.observed.figures[name] for name in _SHOWN),
        )
        for point in trace.points
    )
    return View("Text and predictions", columns, rows)


def _growths(trace: Trace) -> View:
    columns = (
        "checkpoint", "last block", "largest other block", "which", "last minus largest other",
        "final norm (post-norm)",
    )  # fmt: skip
    rows = tuple(
        (
            point.name, found.last_block, found.largest_other, found.largest_block,
            found.contrast, found.final_norm,
        )
        for point in trace.points
        if (found := point.observed.growth) is not None
    )  # fmt: skip
    return View(f"Growth since the base: {metric_name('pr_corrected')}", columns, rows)


def trace_table(trace: Trace) -> Table:
    """One row per checkpoint, measure and site: value, change since the base, intervals."""
    return table("trace", "Trace", (row for point in trace.points for row in _rows(point)))


def _rows(point: TracePoint) -> Iterator[dict[str, Value]]:
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
) -> dict[str, Value]:
    gap = Measured(None, reason="the base itself" if point.step == 0 else "not a difference")
    return {
        "checkpoint": point.name,
        "step": point.step,
        "epoch": point.epoch,
        "train_loss": point.train_loss.value,
        "measure": name,
        "site": site,
        **spread("value", figure),
        **spread("change", change or gap),
        "n": figure.n,
    }
