"""Saving a report: every file in a new directory that appears complete or not at all."""

import shutil
from pathlib import Path

from hyperinterp.checkpoints.files import (
    fsync_path,
    move_into_place,
    partial_name,
    sweep_partials,
    translate_io_errors,
    write_bytes,
)
from hyperinterp.errors import InputRefused
from hyperinterp.report import export, html, latex, markdown
from hyperinterp.report.schema import Report
from hyperinterp.report.tables import tables

FILES = ("report.json", "report.html", "report.md", "claims.tex")
DIRECTORIES = ("tables", "figures")


def save(
    report: Report, out: str | Path, *, figures: tuple[str, ...] = (), force: bool = False
) -> dict[str, Path]:
    """Write report.json, report.html, report.md, claims.tex, tables/*.csv and figures.

    Everything is written to a hidden sibling, flushed, and renamed to `out` in one step.

    Args:
        report: What to write.
        out: The directory to make. An empty one is fine.
        figures: Formats of static figures, "png" and "svg"; needs the `figures` extra.
        force: Replace a directory that holds nothing but an earlier report.

    Returns:
        The path of every file written, by its name relative to `out`.

    Raises:
        InputRefused: `out` is there already (without `force`), holds other things than a
            report, or cannot be written; an unknown format, or the extra is not installed.
        OutOfResources: The disk is full. Nothing is left behind.
    """
    target = Path(out)
    _refuse(target, force=force)
    export.check(figures)
    content = contents(report)
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
            if figures:
                written += export.write_figures(report, partial / "figures", figures)
            for folder in (partial, *(path for path in partial.iterdir() if path.is_dir())):
                fsync_path(folder)
            move_into_place(partial, target, force=target.is_dir())
            fsync_path(target.parent)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return {name: target / name for name in written}


def contents(report: Report) -> dict[str, bytes]:
    """Every file but the static figures, by its name; lone surrogates as JSON escapes."""
    texts = {
        "report.json": report.to_json(),
        "report.html": html.render(report),
        "report.md": markdown.render(report),
        "claims.tex": latex.claims_table(report),
        **{f"tables/{item.name}.csv": item.csv() for item in tables(report)},
    }
    return {name: text.encode("utf-8", "backslashreplace") for name, text in texts.items()}


def _refuse(target: Path, *, force: bool) -> None:
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise InputRefused(f"{target}: expected a directory to make, found something else there")
    if not target.is_dir() or not any(target.iterdir()):
        return
    if not force:
        raise InputRefused(f"{target}: already exists; name another --out, or pass --force")
    others = sorted(
        path.name for path in target.iterdir() if path.name not in {*FILES, *DIRECTORIES}
    )
    if others:
        raise InputRefused(
            f"{target}: holds more than a report ({others[0]!r}); --force replaces only reports"
        )
