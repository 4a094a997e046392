"""The files of a trace: trace.json, trace.csv, trace.html and static figures."""

from collections.abc import Mapping
from pathlib import Path

from hyperinterp.drawing.rendering import csv_text
from hyperinterp.report import codec, export, html
from hyperinterp.report.sections import PageSection
from hyperinterp.report.trace.data import TraceData
from hyperinterp.report.trace.figures import charts
from hyperinterp.report.trace.tables import read_tables, trace_table
from hyperinterp.report.writing import publish, refuse

FILES = ("trace.json", "trace.csv", "trace.html", "config.yaml")


def save_trace(
    trace: TraceData,
    out: str | Path,
    *,
    figures: tuple[str, ...] = (),
    force: bool = False,
    beside: Mapping[str, bytes] | None = None,
) -> dict[str, Path]:
    """Write trace.json, trace.csv, trace.html and figures to a new directory.

    Args:
        trace: What to write.
        out: The directory to make. An empty one is fine.
        figures: Formats of static figures, "png" and "svg"; needs the `figures` extra.
        force: Replace a directory that holds nothing but an earlier trace.
        beside: Further files by name, of those that a trace's directory may hold.

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
        "trace.json": codec.document(codec.adapter_of(type(trace)), trace),
        "trace.csv": csv_text(trace_table(trace)),
        "trace.html": render(trace),
    }
    content = {name: text.encode("utf-8", "backslashreplace") for name, text in texts.items()}
    content |= dict(beside or {})
    return publish(target, content, lambda: export.first_figures("trace", charts(trace)), figures)


def check_trace(out: Path, figures: tuple[str, ...], *, force: bool) -> None:
    """Refuse, before any work, what `save_trace` would refuse."""
    refuse(out, {*FILES, "figures", "trackers"}, "a trace", force=force)
    export.check(figures)


def render(trace: TraceData) -> str:
    """The page: figures against the training loss, the figures as a table, provenance."""
    question = "What changes when, while the model learns its passages by heart?"
    section = PageSection("trace", "Along the run", question, None, "", charts(trace), ())
    sheets = tuple(sheet for item in read_tables(trace) for sheet in item.sheets())
    table_of = PageSection("tables", "As tables", "The same, as tables.", None, "", (), sheets)
    return html.page(
        "trace.html.j2",
        trace,
        [section, table_of],
        f"Trace of {trace.run}",
        files=("trace.json", "trace.csv"),
        what=_what(trace),
    )


def _what(trace: TraceData) -> str:
    data, recipe = trace.data, trace.recipe
    blocks = f", blocks {recipe['blocks']}" if recipe.get("blocks") else ""
    passages = data.get("passages")
    told = f" on {passages} passages" if isinstance(passages, int) else ""
    return f"Method {recipe.get('method', 'unknown')}{blocks}{told}."
