"""Saving a report: every file in a new directory that appears complete or not at all."""

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from hyperinterp.checkpoints.files import (
    check_place,
    fsync_path,
    move_into_place,
    partial_name,
    sweep_partials,
    translate_io_errors,
    write_bytes,
)
from hyperinterp.drawing.rendering import csv_text
from hyperinterp.drawing.table import Table
from hyperinterp.errors import InputRefused
from hyperinterp.report import codec, export, html, latex, markdown
from hyperinterp.report.claims import claim_tables
from hyperinterp.report.data import ReportData
from hyperinterp.report.folders import folders

if TYPE_CHECKING:
    import plotly.graph_objects as go

FILES = ("report.json", "report.html", "report.md", "claims.tex", "config.yaml")
DIRECTORIES = ("tables", "figures", "trackers")


def save(
    report: ReportData,
    out: str | Path,
    *,
    figures: tuple[str, ...] = (),
    force: bool = False,
    beside: Mapping[str, bytes] | None = None,
) -> dict[str, Path]:
    """Write report.json, report.html, report.md, claims.tex, tables/*.csv and figures.

    Everything is written to a hidden sibling, flushed, and renamed to `out` in one step.

    Args:
        report: What to write.
        out: The directory to make. An empty one is fine.
        figures: Formats of static figures, "png" and "svg"; needs the `figures` extra.
        force: Replace a directory that holds nothing but an earlier report.
        beside: Further files by name, of those that a report's directory may hold.

    Returns:
        The path of every file written, by its name relative to `out`.

    Raises:
        InputRefused: `out` is there already (without `force`), holds other things than a
            report, or cannot be written; an unknown format, or the extra is not installed.
        OutOfResources: The disk is full. Nothing is left behind.
    """
    target = Path(out)
    check_report(target, figures, force=force)
    content = contents(report) | dict(beside or {})
    return publish(target, content, lambda: export.named_figures(report), figures)


def check_report(out: Path, figures: tuple[str, ...], *, force: bool) -> None:
    """Refuse, before any work, what `save` would refuse."""
    refuse(out, {*FILES, *DIRECTORIES}, "a report", force=force)
    export.check(figures)


def publish(
    target: Path,
    content: Mapping[str, bytes],
    drawn: "Callable[[], Iterable[tuple[str, go.Figure]]]",
    formats: tuple[str, ...],
) -> dict[str, Path]:
    """Write files and static figures to a hidden sibling, and rename it to `target` in one step.

    Raises:
        InputRefused: a figure cannot be drawn, or the directory cannot be written.
        OutOfResources: The disk is full. Nothing is left behind.
    """
    with translate_io_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        sweep_partials(target)
        partial = partial_name(target)
        try:
            for name, data in content.items():
                path = partial / name
                path.parent.mkdir(parents=True, exist_ok=True)
                write_bytes(path, data)
            written = list(content)
            if formats:
                written += export.write_figures(drawn(), partial / "figures", formats)
            for folder in (partial, *(path for path in partial.iterdir() if path.is_dir())):
                fsync_path(folder)
            move_into_place(partial, target, force=target.is_dir())
            fsync_path(target.parent)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return {name: target / name for name in written}


def contents(report: ReportData) -> dict[str, bytes]:
    """Every file but the static figures, by its name; lone surrogates as JSON escapes."""
    texts = {
        "report.json": codec.to_json(report, folders()),
        "report.html": html.render(report),
        "report.md": markdown.render(report),
        "claims.tex": latex.claims_table(report),
        **{f"tables/{name}.csv": csv_text(item) for name, item in tables(report)},
    }
    return {name: text.encode("utf-8", "backslashreplace") for name, text in texts.items()}


def tables(report: ReportData) -> Iterator[tuple[str, Table]]:
    """Yield every table of a report that has rows, with the stem of its file."""
    found = [(item.name, item) for item in claim_tables(report.claims)]
    results = [*report.results.items()]
    if report.training_curve is not None:
        results.append(("training_curve", report.training_curve))
    found += [(f"{slug}_{item.name}", item) for slug, result in results for item in result.tables()]
    yield from (pair for pair in found if pair[1].rows)


def refuse(target: Path, own: set[str], what: str, *, force: bool) -> None:
    """Refuse a directory that may not be replaced, or that cannot be made.

    Args:
        target: the directory to make.
        own: names of the files and directories that we write there.
        what: what they are together, in words.
        force: whether an earlier one may be replaced.

    Raises:
        InputRefused: something else is there, `force` is not given, or nothing can be made there.
        OutOfResources: the disk is full.
    """
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise InputRefused(
            f"{target}: expected a directory to make, found something else there; name another "
            "--out"
        )
    check_place(target)
    if not target.is_dir() or not any(target.iterdir()):
        return
    if not force:
        raise InputRefused(f"{target}: already exists; name another --out, or pass --force")
    others = sorted(path.name for path in target.iterdir() if path.name not in own)
    if others:
        raise InputRefused(
            f"{target}: holds more than {what} ({others[0]!r}); --force replaces nothing else"
        )
