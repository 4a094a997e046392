"""Run a study: train every cell, compare it, gather; what is done is kept, one failure is one."""

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from hyperinterp.checkpoints import write_file
from hyperinterp.claims import registry
from hyperinterp.claims.roles import TRAINING, Role, Twin
from hyperinterp.claims.running import told
from hyperinterp.comparison import compare
from hyperinterp.errors import OutOfResources, memory_ran_out
from hyperinterp.models import AnyModel, HookedModel
from hyperinterp.run_log import Progress
from hyperinterp.studies.cells import Cell, Places, companions
from hyperinterp.studies.config import StudyConfig
from hyperinterp.studies.gathering import is_trained, read_failure, read_report
from hyperinterp.studies.shuffling import shuffled_words
from hyperinterp.text import Passages
from hyperinterp.training import Progress as TrainProgress
from hyperinterp.training import TrainResult, train


@dataclass(frozen=True)
class Texts:
    """The texts of a study.

    Attributes:
        learnt: what is learnt by heart.
        heldout: what chooses the control.
        prompts: what the comparisons read.
    """

    learnt: Passages
    heldout: Passages
    prompts: Passages

    def of(self, cell: Cell) -> Passages:
        """The passages that a cell learns."""
        return shuffled_words(self.learnt) if cell.shuffled else self.learnt

    @property
    def digests(self) -> dict[str, str]:
        """Their digests, by their use."""
        return {name: getattr(self, name).sha256 for name in ("learnt", "heldout", "prompts")}


@dataclass(frozen=True)
class Runner:
    """Does the work of single cells.

    Attributes:
        config: the study.
        cells: all of them.
        places: where the files are.
        base: the model that is trained.
        measured: the same for the comparisons, in their dtype.
        texts: what is learnt and read.
        progress: told of work done, with the cell's name.
        device: where models are loaded.
        tokenizer: reads the texts in place of the model's own.
    """

    config: StudyConfig
    cells: tuple[Cell, ...]
    places: Places
    base: HookedModel
    measured: AnyModel
    texts: Texts
    progress: Progress
    device: str
    tokenizer: str | Path | PreTrainedTokenizerBase | None = None

    def train(self, cell: Cell) -> None:
        """Train a cell, or go on with it; a finished one is verified."""

        def on_progress(done: TrainProgress) -> None:
            what = "blocks before" if done.phase == "prefix" else "training"
            self.progress(f"{cell.name}: {what}", done.step, done.total_steps)

        train(
            self.base,
            self.texts.of(cell),
            self.places.twin(cell),
            self.config.recipe(cell.method, cell.blocks, cell.seed),
            heldout=self.texts.heldout,
            resume=True,
            on_progress=on_progress,
            chat=self.config.chat,
            tokenizer=self.tokenizer,
        )

    def compare(self, cell: Cell) -> None:
        """Compare a trained cell with the base, beside what is there; a finished one is kept."""
        if self.is_compared(cell):
            return
        given: dict[str, Any] = {TRAINING.keyword: self.texts.of(cell)}
        for role, paths in self.roles(cell).items():
            given[role.keyword] = list(paths) if role.several else paths[0]

        def progress(task: str, done: int, total: int) -> None:
            self.progress(f"{cell.name}: {task}", done, total)

        found = compare(
            self.measured,
            self.places.twin(cell),
            prompts=self.texts.prompts,
            claims=self.config.claims,
            sizes=self.config.comparison(),
            batch_size=self.config.batch_size,
            dtype=self.config.dtype,
            device=self.device,
            progress=progress,
            chat=self.config.chat,
            tokenizer=self.tokenizer,
            **given,
        )
        found.save(self.places.report(cell), force=True)

    def is_compared(self, cell: Cell) -> bool:
        """Return whether a cell's report is there, beside all that is trained by now."""
        report = read_report(self.places, cell)
        if report is None or not is_trained(self.places.twin(cell)):
            return False
        names = {str(path) for paths in self.roles(cell).values() for path in paths}
        known = report.provenance.checkpoints
        return names == {item.name for item in known if item.role not in ("base", "fitted")}

    def is_over(self, seed: int) -> bool:
        """Return whether every cell of a seed is compared, so that no weights are needed."""
        return all(
            self.is_compared(cell) and not read_failure(self.places, cell)
            for cell in self.cells
            if cell.seed == seed
        )

    def roles(self, cell: Cell) -> dict[Role, tuple[Path, ...]]:
        """The checkpoints beside a cell that are there by now, by the roles that claims declare."""
        twin = self.places.twin(cell)
        found: dict[Twin, tuple[Path, ...]] = {}
        if (kept := TrainResult.read(twin).control) is not None:
            found[Twin.STOPPED] = (kept,)
        for which, others in companions(cell, self.cells).items():
            twins = tuple(self.places.twin(it) for it in others)
            if there := tuple(path for path in twins if is_trained(path)):
                found[which] = there
        return {
            role: found[role.twin]
            for role in registry.roles()
            if role.twin is not None and role.twin in found
        }

    def waits_for(self, cell: Cell) -> tuple[str, ...]:
        """Names of the cells that another command still has to train before it is compared."""
        others = [it for group in companions(cell, self.cells).values() for it in group]
        return tuple(
            it.name
            for it in others
            if not is_trained(self.places.twin(it)) and not read_failure(self.places, it)
        )

    def guarded(self, cell: Cell, work: Callable[[Cell], None]) -> bool:
        """Do a cell's work; write down why it failed, and say whether it did not.

        Memory or a disk that ran out, and an interruption, end the study: the rest would fail too.
        """
        failure = self.places.failure(cell)
        try:
            work(cell)
        except Exception as error:
            if isinstance(error, OutOfResources | OSError) or memory_ran_out(error):
                raise
            document = json.dumps({"reason": told(error)}, ensure_ascii=False)
            write_file(failure, document.encode("utf-8", "backslashreplace"), force=True)
            return False
        with suppress(FileNotFoundError):
            failure.unlink()
        return True


def run_cells(runner: Runner, mine: Sequence[Cell], hold: Callable[[Cell], Any]) -> None:
    """Train cells and compare them, seed by seed; a seed that is over is not looked at again.

    Args:
        runner: does the work.
        mine: the cells to do.
        hold: a context manager for a cell that gives False where another command has it.
    """
    for seed in dict.fromkeys(cell.seed for cell in mine):
        if runner.is_over(seed):
            continue
        trained: list[Cell] = []
        for cell in (cell for cell in mine if cell.seed == seed):
            with hold(cell) as free:
                if free and runner.guarded(cell, runner.train):
                    trained.append(cell)
        for cell in trained:
            if runner.waits_for(cell):
                continue
            with hold(cell) as free:
                if free:
                    runner.guarded(cell, runner.compare)
