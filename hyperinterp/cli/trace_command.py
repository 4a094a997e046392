"""The command `trace`: the measures along a training run."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from hyperinterp.cli import options as o


def trace(
    run: Annotated[Path, typer.Argument(help="The output of `train`, finished or not.")],
    base: Annotated[
        str | None, typer.Option(help="Where the base is now, if not where the run says.")
    ] = None,
    revision: o.Revision = None,
    subfolder: o.Subfolder = None,
    like: o.Like = None,
    tokenizer: o.Tokenizer = None,
    prompts: o.Prompts = None,
    column: o.Column = None,
    split: o.Split = None,
    chat: o.Chat = "auto",
    count: Annotated[int | None, typer.Option(help="Use the first N prompts.")] = None,
    preset: Annotated[
        str, typer.Option(help="quick (12 prompts), default (24) or full (all).")
    ] = "default",
    out: Annotated[
        Path | None, typer.Option(help="Directory for the trace; RUN-trace by default.")
    ] = None,
    json: o.Json = False,
    figures: o.Figures = "",
    seed: o.Seed = 0,
    batch_size: o.BatchRows = 8,
    dtype: o.Dtype = "float32",
    device: o.Device = "auto",
    force: o.Force = False,
) -> None:
    """Draw every measure of the report against the training loss of RUN."""
    o.refuse_launcher("trace")
    from hyperinterp.cli.progress import Reporter

    target = out or run.with_name(run.name + "-trace")
    formats = o.formats(figures)
    with Reporter() as reporter:
        from hyperinterp.report.trace.writing import check_trace
        from hyperinterp.tracing import trace as measure

        check_trace(target, formats, force=force)
        found = measure(
            run,
            base=base,
            revision=revision,
            subfolder=subfolder,
            like=like,
            prompts=o.Texts.of(column, split, "prompts").read("prompts", prompts),
            chat=chat,
            count=count,
            preset=preset,
            seed=seed,
            batch_size=batch_size,
            dtype=dtype,
            device=device,
            progress=reporter,
            tokenizer=tokenizer,
        )
    written = found.save(target, figures=formats, force=force)
    if json:
        sys.stdout.write(found.to_json())
        return
    from hyperinterp.cli.show import show_trace

    show_trace(found)
    typer.echo(f"trace: {written['trace.html']}")
