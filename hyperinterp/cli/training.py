"""The commands `train` and `demo` between parsing and printing."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hyperinterp.claims import registry
from hyperinterp.claims.roles import TRAINING, Twin
from hyperinterp.cli.progress import Reporter
from hyperinterp.cli.show import show_sweep, show_training
from hyperinterp.comparison import compare
from hyperinterp.distributed import join, leave
from hyperinterp.models import load
from hyperinterp.report import Report, save
from hyperinterp.report.writing import check_report
from hyperinterp.sizes import sizes_of
from hyperinterp.text import Passages, Texts, builtin_passages, unlearnt
from hyperinterp.training import Progress, TrainConfig, sweep, train


def _shown(reporter: Reporter, title: str):
    def show(progress: Progress) -> None:
        note = "" if progress.loss is None else f"loss {progress.loss:.3f}"
        if progress.tokens_per_second:
            note += f", {progress.tokens_per_second:.0f} tokens/s"
        reporter(f"{title} ({progress.phase})", progress.step, progress.total_steps, note)

    return show


@dataclass(frozen=True)
class Job:
    """The settings of one call of the command `train`.

    Attributes:
        model: the checkpoint to start from.
        out: where the checkpoint, or the sweep, goes.
        fields: of the recipe, without blocks and seed.
        tokenizer: checkpoint whose tokenizer reads the passages; None for the model's own.
        data: training passages by path or id; None for the built-in fiction.
        column: field that holds the text, as --column says it.
        split: split of the texts, as --split says it.
        chat: which texts are put into the chat template.
        count: the first so many passages.
        heldout: held-out passages; None for the built-in ones where they are needed.
        like: for a model that is a state dict, the checkpoint with its config and tokenizer.
        device: where to train.
        force: replace what is there.
        json: print one JSON document.
        fsdp: spread the weights over the processes of a launcher.
    """

    model: str
    out: Path
    fields: dict[str, Any]
    tokenizer: str | None = None
    data: str | None = None
    column: str | None = None
    split: str | None = None
    chat: str = "auto"
    count: int | None = None
    heldout: str | None = None
    like: str | None = None
    device: str = "auto"
    force: bool = False
    json: bool = False
    fsdp: bool = False

    def passages(self) -> Passages:
        """The training passages.

        Raises:
            InputRefused: they cannot be read.
        """
        found = self._texts().read("data", self.data)
        return (found or builtin_passages("train")).head(self.count)

    def held_out(self) -> Passages:
        """The held-out passages."""
        return self._texts().read("heldout", self.heldout) or builtin_passages("heldout")

    def _texts(self) -> Texts:
        return Texts.of(self.column, self.split, "data", "heldout")

    def train(self, blocks: Sequence[str], seed: int, *, resume: bool) -> None:
        """One run, by all processes of a launcher together.

        Raises:
            InputRefused: an option, a file or a model that cannot be used.
        """
        config = TrainConfig(**self.fields, blocks=blocks[0] if blocks else None, seed=seed)
        named = self.heldout is not None or config.eval_every is not None or config.keep_control
        processes = join()
        with Reporter(quiet=not processes.first) as reporter:
            result = train(
                self.model,
                self.passages(),
                self.out,
                config,
                heldout=self.held_out() if named else None,
                like=self.like,
                device=self.device,
                force=self.force,
                resume=resume,
                on_progress=_shown(reporter, f"training, {config.method}"),
                processes=processes,
                fsdp=self.fsdp,
                chat=self.chat,
                tokenizer=self.tokenizer,
            )
        leave(processes)
        if processes.first:
            show_training(result, as_json=self.json)

    def sweep(self, blocks: Sequence[str], seeds: Sequence[int]) -> None:
        """One run for each choice of blocks and seed.

        Raises:
            InputRefused: an option, a file or a model that cannot be used.
        """
        with Reporter() as reporter:
            shown: dict[str, Any] = {}

            def told(cell: str, progress: Progress) -> None:
                shown.setdefault(cell, _shown(reporter, cell))(progress)

            found = sweep(
                self.model,
                self.passages(),
                self.out,
                TrainConfig(**self.fields),
                blocks=blocks or None,
                seeds=seeds,
                heldout=self.held_out(),
                like=self.like,
                device=self.device,
                force=self.force,
                on_progress=told,
                chat=self.chat,
                tokenizer=self.tokenizer,
            )
        show_sweep(found, as_json=self.json)


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
    """Train a late-stage twin of smollm2, compare the two, and write the report.

    Its control is the checkpoint on the way that has the least loss on passages beside those that
    are learnt and those that are compared on.
    """
    sizes_of(preset)
    data = builtin_passages("train").head(passages)
    unseen = unlearnt(data)
    config = TrainConfig(method="late-stage", seed=seed, keep_control=unseen is not None)
    twin = out / "late-stage"
    check_report(out / "report", (), force=force)
    base = load("smollm2", device=device)
    trained = train(
        "smollm2",
        data,
        twin,
        config,
        heldout=unseen,
        device=device,
        force=force,
        on_progress=_shown(reporter, "training the last 5 blocks"),
    )
    fitted = load(twin, base="smollm2", device=device)
    beside: dict[str, Any] = {TRAINING.keyword: data}
    if trained.control is not None:
        (stopped,) = (role for role in registry.roles() if role.twin is Twin.STOPPED)
        beside[stopped.keyword] = trained.control
    report = compare(
        base, fitted, preset=preset, seed=seed, device=device, progress=reporter, **beside
    )
    return report, save(report, out / "report", force=force)
