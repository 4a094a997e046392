"""The commands `judge-sheet` and `judge-read`: blind pairs for human judges, and their answers."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from hyperinterp.cli import options as o


def judge_sheet(
    report: Annotated[str, typer.Argument(help="Report of hyperinterp compare, with texts.")],
    out: Annotated[Path, typer.Option(help="Directory for the sheet.")],
    seed: o.Seed = 0,
    force: o.Force = False,
) -> None:
    """Write blind pairs of both models' texts for human judges."""
    o.refuse_launcher("judge-sheet")
    o.refuse_taken(out, force)
    from hyperinterp.report.judging import judge_sheet as write

    sheet = write(report, out, seed=seed, force=force)
    if sheet.alike:
        typer.echo(f"note: {sheet.alike} prompts left out: both models wrote the same", err=True)
    typer.echo(f"{len(sheet.pairs)} pairs; give the judges one of the first two")
    typer.echo(f"page:   {out / 'sheet.html'}")
    typer.echo(f"table:  {out / 'sheet.csv'}")
    typer.echo(f"key:    {out / 'key.json'} (keep it from them)")


def judge_read(
    sheet: Annotated[Path, typer.Argument(help="Directory that judge-sheet made.")],
    answers: Annotated[list[str], typer.Argument(help="CSV files of answers, one per judge.")],
    json: o.Json = False,
) -> None:
    """Say which model's texts the judges preferred, with an interval over pairs."""
    o.refuse_launcher("judge-read")
    from hyperinterp.report.judging import judge_read as read

    found = read(sheet, *answers)
    if json:
        import json as lines
        from dataclasses import asdict

        sys.stdout.write(lines.dumps(asdict(found), indent=1) + "\n")
        return
    from hyperinterp.drawing.numbers import words

    typer.echo(f"{found.fitted} preferred to {found.base}: {words(found.preference)}")
    typer.echo(
        f"{len(found.pairs)} pairs, {found.judges} judges, {found.unanswered} pairs unanswered; "
        "0.5: neither is better"
    )
    typer.echo(f"text A was named in {words(found.first)} of the decided answers")
