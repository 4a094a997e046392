"""The commands. Each parses, calls the library, and writes what it returned."""

import shlex
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer

import hyperinterp
from hyperinterp.claims import registry
from hyperinterp.cli.configured import (
    CONFIG_NAME,
    ConfigFile,
    config_text,
    given_options,
    with_options,
)
from hyperinterp.cli.judge_commands import judge_read, judge_sheet
from hyperinterp.cli.options import (
    Device,
    Figures,
    Force,
    Json,
    Like,
    ReportTo,
    Revision,
    Seed,
    Subfolder,
    formats,
    refuse_launcher,
    refuse_taken,
)
from hyperinterp.cli.plan_command import plan
from hyperinterp.cli.push_command import push
from hyperinterp.cli.reports_command import reports
from hyperinterp.cli.roles import with_roles
from hyperinterp.cli.study_command import study
from hyperinterp.cli.trace_command import trace
from hyperinterp.cli.train_command import train
from hyperinterp.config import CompareConfig
from hyperinterp.looks.registry import listed_looks

app = typer.Typer(
    name="hyperinterp",
    help="Measure, control and causally test what hyperfitting does to a language model.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 ok, 2 input refused, 3 out of memory or disk, 4 finished but a claim "
    "failed (its row says why), 130 interrupted, "
    "143 ended by SIGTERM, 129 by SIGHUP, 1 an error in hyperinterp. "
    "--debug on any command shows the traceback.",
)


def _version(show: bool) -> bool:
    if show:
        typer.echo(hyperinterp.__version__)
        raise typer.Exit
    return show


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command()
@with_roles(registry.roles())
@with_options(
    CompareConfig,
    claims="Only some, by id or name, with commas between; see the end.",
    also=f"Without a verdict, beside the claims: {listed_looks()}.",
)
def compare(
    context: Any,
    base: Annotated[str, typer.Argument(help="The checkpoint before.")],
    fitted: Annotated[str, typer.Argument(help="The checkpoint after; an adapter goes on BASE.")],
    config: ConfigFile = None,
    quick: Annotated[bool, typer.Option("--quick", help="Same as --preset quick.")] = False,
    out: Annotated[Path | None, typer.Option(help="Directory for the report.")] = None,
    json: Json = False,
    figures: Figures = "",
    resume_dir: Annotated[
        Path | None,
        typer.Option(
            help="Directory that keeps the result of each claim, and sums over --corpus, on the "
            "way: the same command again does what is missing."
        ),
    ] = None,
    report_to: ReportTo = "none",
    force: Force = False,
    **given: Any,
) -> None:
    """Measure what changed from BASE to FITTED and give a verdict for each claim."""
    from hyperinterp.cli.progress import Reporter

    refuse_taken(out, force)
    from hyperinterp.distributed import join, leave

    processes = join()
    with ExitStack() as held:
        with Reporter(quiet=not processes.first) as reporter:
            from hyperinterp.checkpoints import only_one
            from hyperinterp.comparison import compare as run
            from hyperinterp.report import export
            from hyperinterp.report.writing import check_report
            from hyperinterp.roles import compare_config, compare_specs
            from hyperinterp.sizes import sizes_of
            from hyperinterp.trackers import check_results_tracker

            check_results_tracker(report_to, out)
            specs = compare_specs(registry.roles())
            options = given_options(context, specs, given)
            if quick:
                options["preset"] = "quick"
            asked = compare_config(registry.roles(), config, options)
            sizes_of(asked.preset)
            kinds = formats(figures)
            export.check(kinds)
            if out is not None:
                processes.by_first(lambda: check_report(out, kinds, force=force))
            held.enter_context(only_one(out, processes=processes))
            report = run(
                base,
                fitted,
                config=asked,
                progress=reporter,
                processes=processes,
                resume_dir=resume_dir,
            )
        leave(processes)
        if not processes.first:
            return
        from hyperinterp.cli.show import show_claims
        from hyperinterp.report import save

        try:
            if out is not None:
                command = shlex.join(["hyperinterp", "compare", base, fitted])
                text = config_text(command, vars(asked) | dict(asked.roles), specs)
                save(report, out, figures=kinds, force=force, beside={CONFIG_NAME: text})
        finally:  # a full disk or Ctrl-C must not cost the figures
            if json:
                sys.stdout.write(report.to_json())
            else:
                show_claims(report)
    if out is not None and not json:
        typer.echo(f"report: {out / 'report.html'}")
    from hyperinterp.tracking import track

    track(report, report_to, out=out)
    if report.broken():
        raise typer.Exit(4)


app.command()(plan)
app.command()(train)
app.command()(study)
app.command()(reports)
app.command()(judge_sheet)
app.command()(judge_read)
app.command()(push)
app.command()(trace)


@app.command()
def export(
    checkpoint: Annotated[str, typer.Argument(help="What to put into the bundle.")],
    out: Annotated[Path, typer.Argument(help="The .pt file to write.")],
    revision: Revision = None,
    subfolder: Subfolder = None,
    base: Annotated[
        str | None, typer.Option(help="Base of an adapter, if not the one that it names.")
    ] = None,
    like: Like = None,
    force: Force = False,
) -> None:
    """Write CHECKPOINT as one .pt bundle: tensors, config, tokenizer, digests; no code."""
    refuse_launcher("export")
    refuse_taken(out, force)
    from hyperinterp.checkpoints import export_bundle

    export_bundle(
        checkpoint,
        out,
        revision=revision,
        subfolder=subfolder,
        like=like,
        base=base,
        force=force,
        told=lambda note: typer.echo(f"note: {note}", err=True),
    )
    typer.echo(f"bundle: {out}")


@app.command()
def inspect(
    checkpoint: Annotated[str, typer.Argument(help="Any checkpoint that can be named.")],
    revision: Revision = None,
    subfolder: Subfolder = None,
    like: Like = None,
    json: Json = False,
) -> None:
    """Say what CHECKPOINT is, without running it."""
    from hyperinterp.checkpoints import inspect_checkpoint
    from hyperinterp.cli.show import show_summary

    found = inspect_checkpoint(checkpoint, revision, subfolder, like)
    show_summary(found, as_json=json)


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Directory for everything.")] = Path("demo"),
    passages: Annotated[int, typer.Option(help="Training passages.")] = 32,
    preset: Annotated[str, typer.Option(help="quick, default or full.")] = "quick",
    seed: Seed = 0,
    device: Device = "auto",
    force: Force = False,
) -> None:
    """Hyperfit smollm2 on the built-in fiction and compare: the whole job, offline."""
    refuse_launcher("demo")
    refuse_taken(out, force)
    from hyperinterp.cli.progress import Reporter
    from hyperinterp.cli.training import run_demo

    with Reporter() as reporter:
        report, written = run_demo(
            out, reporter, passages=passages, preset=preset, seed=seed, device=device, force=force
        )
    from hyperinterp.cli.show import show_claims

    show_claims(report)
    typer.echo(f"twin:   {out / 'late-stage'}")
    typer.echo(f"report: {written['report.html']}")
