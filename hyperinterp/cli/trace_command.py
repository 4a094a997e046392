"""The command `trace`: the measures along a training run."""

import shlex
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer

from hyperinterp.cli import configured as c
from hyperinterp.cli import options as o
from hyperinterp.config import TraceConfig, specs_of


@c.with_options(TraceConfig)
def trace(
    context: Any,
    run: Annotated[Path, typer.Argument(help="The output of `train`, finished or not.")],
    config: c.ConfigFile = None,
    out: Annotated[
        Path | None, typer.Option(help="Directory for the trace; RUN-trace by default.")
    ] = None,
    json: o.Json = False,
    figures: o.Figures = "",
    report_to: o.ReportTo = "none",
    force: o.Force = False,
    **given: Any,
) -> None:
    """Draw every measure of the report against the training loss of RUN."""
    o.refuse_launcher("trace")
    from hyperinterp.cli.progress import Reporter

    target = out or run.with_name(run.name + "-trace")
    formats = o.formats(figures)
    with ExitStack() as held:
        with Reporter() as reporter:
            from hyperinterp.checkpoints import only_one
            from hyperinterp.report.trace.writing import check_trace, save_trace
            from hyperinterp.tracing import trace as measure
            from hyperinterp.tracing import trace_config
            from hyperinterp.trackers import check_results_tracker

            check_results_tracker(report_to, target)
            asked = trace_config(config, c.given_options(context, specs_of(TraceConfig), given))
            check_trace(target, formats, force=force)
            held.enter_context(only_one(target))
            found = measure(run, config=asked, progress=reporter)
        command = shlex.join(["hyperinterp", "trace", str(run)])
        text = c.config_text(command, vars(asked), specs_of(TraceConfig))
        written = save_trace(
            found, target, figures=formats, force=force, beside={c.CONFIG_NAME: text}
        )
    if json:
        sys.stdout.write(found.to_json())
    else:
        from hyperinterp.cli.show import show_trace

        show_trace(found)
        typer.echo(f"trace: {written['trace.html']}")
    from hyperinterp.tracking import track

    track(found, report_to, out=target)
