"""The command `push`: a twin or a report on the Hub."""

from pathlib import Path
from typing import Annotated

import typer

from hyperinterp.cli import options as o


def push(
    folder: Annotated[Path, typer.Argument(help="A twin that train made, or a report.")],
    repository: Annotated[str, typer.Argument(help="owner/name on the Hub.")],
    license: Annotated[str, typer.Option(help="License, as the Hub names it, e.g. apache-2.0.")],
    report: Annotated[
        Path | None, typer.Option(help="Report of the twin: its claims go into the card.")
    ] = None,
    base_model: Annotated[
        str | None, typer.Option(help="Hub id of the base, where the twin names none.")
    ] = None,
    private: Annotated[bool, typer.Option("--private", help="Make a private repository.")] = False,
) -> None:
    """Bring a twin or a report to the Hub, with a card that has base, license and claims."""
    o.refuse_launcher("push")
    from hyperinterp.publishing import push_to_hub

    where = push_to_hub(
        folder, repository, license=license, report=report, base_model=base_model, private=private
    )
    typer.echo(f"commit: {where}")
