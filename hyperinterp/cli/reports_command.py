"""The command `reports`: one table over many reports."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from hyperinterp.cli import options as o

FORMATS = ("markdown", "csv")


def reports(
    folders: Annotated[
        list[str], typer.Argument(help="Reports, or studies, whose cells are taken.")
    ],
    kind: Annotated[
        str, typer.Option("--format", help="markdown (a row per report) or csv (and per claim).")
    ] = "markdown",
    out: Annotated[Path | None, typer.Option(help="File for the table; stdout by default.")] = None,
    force: o.Force = False,
) -> None:
    """Put the claims of several reports into one table."""
    o.refuse_launcher("reports")
    o.refuse_taken(out, force)
    from hyperinterp.checkpoints import write_file
    from hyperinterp.ranges import one_of
    from hyperinterp.report.many import reports as read

    one_of("format", kind, FORMATS)
    found = read(*folders)
    text = found.to_csv() if kind == "csv" else found.to_markdown()
    if out is None:
        sys.stdout.write(text)
        return
    write_file(out, text.encode("utf-8", "backslashreplace"), force=force)
    typer.echo(f"table: {out}")
