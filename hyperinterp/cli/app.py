"""The commands. Each parses, calls the library, and writes what it returned."""

import sys
from pathlib import Path
from typing import Annotated

import typer

import hyperinterp

app = typer.Typer(
    name="hyperinterp",
    help="Measure, control and causally test what hyperfitting does to a language model.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 ok, 2 input refused, 3 out of memory or disk, 130 interrupted, 1 a bug. "
    "--debug on any command shows the traceback.",
)

Device = Annotated[str, typer.Option(help="auto, cpu, cuda, mps, ...")]
Dtype = Annotated[str, typer.Option(help="float32, bfloat16 or float16")]
Seed = Annotated[int, typer.Option(help="Seeds splits, samples and random controls.")]
Force = Annotated[bool, typer.Option("--force", help="Replace what is at the output path.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]


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


def _free(out: Path | None, force: bool) -> None:
    """Refuse an output path that exists before any work is done."""
    from hyperinterp.errors import InputRefused

    if out is not None and out.exists() and not force:
        raise InputRefused(
            f"{out}: expected a path that does not exist yet, found something there "
            "(--force replaces it)"
        )


@app.command()
def compare(
    base: Annotated[str, typer.Argument(help="The checkpoint before.")],
    fitted: Annotated[str, typer.Argument(help="The checkpoint after; an adapter goes on BASE.")],
    control: Annotated[
        str | None, typer.Option(help="Same recipe stopped at the least validation loss (C9).")
    ] = None,
    late_stage: Annotated[
        list[str] | None,
        typer.Option(help="Twin trained in the last blocks only (C7); may be repeated."),
    ] = None,
    prompts: Annotated[
        Path | None, typer.Option(help="Held-out passages: jsonl, json, txt, csv, parquet.")
    ] = None,
    train_data: Annotated[
        Path | None, typer.Option(help="Passages FITTED was trained on (C8).")
    ] = None,
    frequencies: Annotated[
        Path | None, typer.Option(help="Token frequencies for C4: csv (token_id, count) or json.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Directory for the report.")] = None,
    json: Json = False,
    quick: Annotated[bool, typer.Option("--quick", help="Same as --preset quick.")] = False,
    preset: Annotated[str, typer.Option(help="quick, default or full.")] = "default",
    claims: Annotated[str | None, typer.Option(help="Only these, e.g. C1,C5.")] = None,
    figures: Annotated[str, typer.Option(help="Also write figures: png, svg or png,svg.")] = "",
    seed: Seed = 0,
    batch_size: Annotated[int, typer.Option(help="Rows per forward pass.")] = 8,
    dtype: Dtype = "float32",
    device: Device = "auto",
    force: Force = False,
) -> None:
    """Measure what changed from BASE to FITTED and give a verdict for each claim."""
    from hyperinterp.cli.progress import Reporter

    _free(out, force)
    formats = tuple(part.strip() for part in figures.split(",") if part.strip())
    with Reporter() as reporter:
        from hyperinterp.compare import compare as run
        from hyperinterp.compare import parse_claims, sizes_of
        from hyperinterp.frequencies import read_frequencies
        from hyperinterp.report import export
        from hyperinterp.text import read_passages, read_prompts

        name = "quick" if quick else preset
        sizes_of(name)
        export.check(formats)
        parse_claims(claims)
        held_out = read_prompts(prompts) if prompts else None
        trained_on = read_passages(train_data) if train_data else None
        table = read_frequencies(frequencies) if frequencies else None
        report = run(
            base,
            fitted,
            prompts=held_out,
            control=control,
            late_stage=tuple(late_stage or ()),
            train_data=trained_on,
            frequencies=table,
            claims=claims,
            preset=name,
            seed=seed,
            batch_size=batch_size,
            dtype=dtype,
            device=device,
            progress=reporter,
        )
    from hyperinterp.cli.show import show_claims
    from hyperinterp.report import save

    try:
        if out is not None:
            save(report, out, figures=formats, force=force)
    finally:  # a full disk or Ctrl-C must not cost the figures
        if json:
            sys.stdout.write(report.to_json())
        else:
            show_claims(report)
    if out is not None and not json:
        typer.echo(f"report: {out / 'report.html'}")


@app.command()
def train(
    model: Annotated[str, typer.Argument(help="The checkpoint to start from.")],
    method: Annotated[str, typer.Option(help="full, lora or late-stage.")] = "late-stage",
    data: Annotated[
        Path | None, typer.Option(help="Training passages; the built-in fiction by default.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Directory for the checkpoint.")] = Path("hyperfitted"),
    passages: Annotated[int | None, typer.Option(help="Use the first N passages.")] = None,
    heldout: Annotated[
        Path | None, typer.Option(help="Held-out passages for evaluation during training.")
    ] = None,
    layers: Annotated[int, typer.Option(help="late-stage: how many last blocks train.")] = 5,
    full_weights: Annotated[
        bool, typer.Option("--full-weights", help="late-stage: full weights instead of LoRA.")
    ] = False,
    rank: Annotated[int, typer.Option(help="LoRA rank.")] = 32,
    lr: Annotated[
        float | None, typer.Option(help="Learning rate; 1e-4 for full, 2e-3 for LoRA.")
    ] = None,
    epochs: Annotated[int, typer.Option(help="At most this many passes over the data.")] = 40,
    max_steps: Annotated[int | None, typer.Option(help="At most this many steps.")] = None,
    max_seconds: Annotated[float | None, typer.Option(help="At most this long.")] = None,
    target_loss: Annotated[
        float, typer.Option(help="Stop when an epoch's mean training loss is at most this.")
    ] = 0.05,
    batch_size: Annotated[int, typer.Option(help="Passages per forward pass.")] = 8,
    grad_accum: Annotated[int, typer.Option(help="Forward passes per optimiser step.")] = 1,
    seq_len: Annotated[int, typer.Option(help="Tokens kept of each passage.")] = 128,
    seed: Seed = 0,
    dtype: Dtype = "float32",
    device: Device = "auto",
    eval_every: Annotated[
        int | None, typer.Option(help="Evaluate on held-out text every so many epochs.")
    ] = None,
    save_at: Annotated[
        str, typer.Option(help="Loss levels that leave a checkpoint, e.g. 3,2,1,0.5,0.1.")
    ] = "",
    keep_control: Annotated[
        bool, typer.Option("--control", help="Keep the checkpoint of least held-out loss (C9).")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted run.")] = False,
    report_to: Annotated[str, typer.Option(help="none, tensorboard, wandb, trackio.")] = "none",
    force: Force = False,
    json: Json = False,
) -> None:
    """Fine-tune MODEL on a few passages until it knows them by heart."""
    from hyperinterp.cli.progress import Reporter
    from hyperinterp.cli.training import run_training

    if not resume:
        _free(out, force)
    options = {
        "method": method,
        "layers": layers,
        "late_stage_weights": full_weights,
        "rank": rank,
        "lr": lr,
        "epochs": epochs,
        "max_steps": max_steps,
        "max_seconds": max_seconds,
        "target_loss": target_loss,
        "batch_size": batch_size,
        "grad_accum": grad_accum,
        "seq_len": seq_len,
        "seed": seed,
        "dtype": dtype,
        "eval_every": eval_every,
        "save_at": _numbers("--save-at", save_at),
        "keep_control": keep_control,
        "report_to": report_to,
    }
    with Reporter() as reporter:
        result = run_training(
            model,
            out,
            options,
            reporter,
            data=data,
            count=passages,
            heldout=heldout,
            device=device,
            force=force,
            resume=resume,
        )
    from hyperinterp.cli.show import show_training

    show_training(result, as_json=json)


def _numbers(option: str, text: str) -> tuple[float, ...]:
    from hyperinterp.errors import InputRefused

    try:
        return tuple(float(part) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise InputRefused(
            f"{option}: expected numbers separated by commas, found {text!r}"
        ) from error


@app.command()
def export(
    checkpoint: Annotated[str, typer.Argument(help="What to put into the bundle.")],
    out: Annotated[Path, typer.Argument(help="The .pt file to write.")],
    force: Force = False,
) -> None:
    """Write CHECKPOINT as one .pt bundle: tensors, config, tokenizer, digests; no code."""
    from hyperinterp.checkpoints import export_bundle

    _free(out, force)
    export_bundle(checkpoint, out, force=force)
    typer.echo(f"bundle: {out}")


@app.command()
def inspect(
    checkpoint: Annotated[str, typer.Argument(help="Any checkpoint that can be named.")],
    json: Json = False,
) -> None:
    """Say what CHECKPOINT is, without running it."""
    from hyperinterp.checkpoints import inspect_checkpoint
    from hyperinterp.cli.show import show_summary

    show_summary(inspect_checkpoint(checkpoint), as_json=json)


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
    from hyperinterp.cli.progress import Reporter
    from hyperinterp.cli.training import run_demo

    _free(out, force)
    with Reporter() as reporter:
        report, written = run_demo(
            out, reporter, passages=passages, preset=preset, seed=seed, device=device, force=force
        )
    from hyperinterp.cli.show import show_claims

    show_claims(report)
    typer.echo(f"twin:   {out / 'late-stage'}")
    typer.echo(f"report: {written['report.html']}")
