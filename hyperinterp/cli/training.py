"""What the commands `train` and `demo` do between parsing and printing."""

from pathlib import Path
from typing import Any

from hyperinterp.cli.progress import Reporter
from hyperinterp.compare import compare, sizes_of
from hyperinterp.models import load
from hyperinterp.report import Report, save
from hyperinterp.text import builtin_passages, read_passages
from hyperinterp.training import Progress, TrainConfig, TrainResult, train


def _shown(reporter: Reporter, title: str):
    def show(progress: Progress) -> None:
        note = "" if progress.loss is None else f"loss {progress.loss:.3f}"
        if progress.tokens_per_second:
            note += f", {progress.tokens_per_second:.0f} tokens/s"
        reporter(f"{title} ({progress.phase})", progress.step, progress.total_steps, note)

    return show


def run_training(
    model: str,
    out: Path,
    options: dict[str, Any],
    reporter: Reporter,
    *,
    data: Path | None,
    count: int | None,
    heldout: Path | None,
    device: str,
    force: bool,
    resume: bool,
) -> TrainResult:
    """Read the passages and train.

    Raises:
        InputRefused: an option, a file or a model that cannot be used.
    """
    config = TrainConfig(**options)
    passages = read_passages(data) if data else builtin_passages("train")
    held_out = read_passages(heldout) if heldout else builtin_passages("heldout")
    needed = config.eval_every is not None or config.keep_control
    return train(
        model,
        passages.head(count),
        out,
        config,
        heldout=held_out if needed else None,
        device=device,
        force=force,
        resume=resume,
        on_progress=_shown(reporter, f"training, {config.method}"),
    )


def run_demo(
    out: Path,
    reporter: Reporter,
    *,
    passages: int,
    preset: str,
    seed: int,
    device: str,
    force: bool,
) -> tuple[Report, dict[str, Path]]:
    """Train a late-stage twin of smollm2, compare the two, and write the report."""
    sizes_of(preset)
    data = builtin_passages("train").head(passages)
    twin = out / "late-stage"
    base = load("smollm2", device=device)
    train(
        "smollm2",
        data,
        twin,
        TrainConfig(method="late-stage", seed=seed),
        device=device,
        force=force,
        on_progress=_shown(reporter, "training the last 5 blocks"),
    )
    fitted = load(twin, base="smollm2", device=device)
    report = compare(
        base, fitted, train_data=data, preset=preset, seed=seed, device=device, progress=reporter
    )
    return report, save(report, out / "report", force=force)
