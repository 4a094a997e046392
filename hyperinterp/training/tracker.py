"""Work beside the optimiser: stop rules, log, progress, checkpoints, resume points."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from transformers import TrainerControl, TrainerState

from hyperinterp.distributed import ALONE, Processes
from hyperinterp.training.config import TrainConfig
from hyperinterp.training.evaluation import Evaluation, Evaluator
from hyperinterp.training.log import TrainingLog
from hyperinterp.training.resume import write_point
from hyperinterp.training.silent import TrainerCallback, TrainingArguments
from hyperinterp.training.trainer import HyperfitTrainer

PAUSE = 20
"""A resume point is followed by at least this many times its own duration without one."""


@dataclass(frozen=True)
class Progress:
    """The progress of a run.

    Attributes:
        phase: `prefix` while the frozen blocks run, then `train`.
        epoch: 1-based number of the current epoch.
        epochs: at most this many.
        step: optimiser steps done (in the phase `prefix`: passages done).
        total_steps: at most this many (in the phase `prefix`: passages).
        steps_per_epoch: optimiser steps of one epoch.
        loss: mean loss of the current epoch so far, nats; None before the first step.
        target: the loss that ends the run, or None.
        tokens_per_second: since the start or the resumption.
        seconds_left: at most, if no other rule ends the run earlier; None while unknown.
        evaluation: figures on held-out text, right after they were made.
    """

    phase: str
    epoch: int
    epochs: int
    step: int
    total_steps: int
    steps_per_epoch: int
    loss: float | None = None
    target: float | None = None
    tokens_per_second: float | None = None
    seconds_left: float | None = None
    evaluation: Evaluation | None = None


@dataclass
class Tally:
    """Everything that a resumed run has to know of its past; JSON values only."""

    epoch_sum: float = 0.0
    epoch_targets: int = 0
    loss: float | None = None
    epochs: int = 0
    tokens: int = 0
    seconds: float = 0.0
    stop: str = ""
    levels: list[float] = field(default_factory=list)
    control_loss: float | None = None


# Writes a checkpoint of the module under a name, with facts about it.
Saver = Callable[[str, dict[str, Any]], Path]


class Tracker(TrainerCallback):
    """Follows a run; the mean loss over a whole epoch, weighted by tokens, decides the stop.

    Where several processes train together, all go by the first one's clock and figures.
    """

    def __init__(
        self,
        config: TrainConfig,
        log: TrainingLog,
        folder: Path,
        save: Saver,
        evaluator: Evaluator | None,
        on_progress: Callable[[Progress], None] | None,
        tally: Tally,
        steps_per_epoch: int,
        processes: Processes = ALONE,
    ) -> None:
        self.processes = processes
        self.config = config
        self.log = log
        self.folder = folder
        self.save = save
        self.evaluator = evaluator
        self.on_progress = on_progress
        self.tally = tally
        self.steps_per_epoch = steps_per_epoch
        self.trainer: HyperfitTrainer | None = None
        self._began = time.monotonic()
        self._earlier = (tally.seconds, tally.tokens)
        self._next_point = tally.seconds + config.resume_every
        self._first_step = 0

    # -- Trainer's events ------------------------------------------------------------------

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Start the clock."""
        self._began = time.monotonic()
        self._first_step = state.global_step

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Choose the order of this epoch's rows."""
        self._trainer.sampler.epoch = state.global_step // self.steps_per_epoch

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Log the step; stop for time; leave a resume point inside long epochs."""
        figures, tally = self._trainer.figures, self.tally
        tally.epoch_sum += figures.loss_sum
        tally.epoch_targets += figures.targets
        tally.tokens += figures.tokens
        tally.seconds = self._seconds()
        limit = self.config.max_seconds
        if limit is not None and tally.seconds >= limit:
            control.should_training_stop = True
            tally.stop = "max seconds"
        self.log.write(
            "step",
            step=state.global_step,
            epoch=state.global_step / self.steps_per_epoch,
            loss=figures.loss,
            lr=self._trainer.last_rate,
            grad_norm=figures.grad_norm,
            seconds=round(tally.seconds, 3),
            tokens_per_second=self._speed(),
        )
        self._report(state)
        if state.global_step % self.steps_per_epoch and not control.should_training_stop:
            self._leave_point(state)

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Close a whole epoch: its mean loss, checkpoints, evaluation, the stop rule."""
        if state.global_step % self.steps_per_epoch:
            return
        tally = self.tally
        tally.loss = tally.epoch_sum / max(tally.epoch_targets, 1)
        tally.epochs += 1
        tally.epoch_sum, tally.epoch_targets = 0.0, 0
        self._trainer.end_epoch(tally.loss)
        evaluation = self._evaluate()
        figures = {} if evaluation is None else asdict(evaluation)
        self.log.write(
            "epoch", step=state.global_step, epoch=tally.epochs, loss=tally.loss,
            seconds=round(tally.seconds, 3), tokens_per_second=self._speed(), **figures,
        )  # fmt: skip
        self._save_checkpoints(state, evaluation)
        if self.config.report_to != "none":
            told = {} if evaluation is None else asdict(evaluation)
            found = {f"eval_{name}": value for name, value in told.items() if value is not None}
            self._trainer.log({"epoch_loss": tally.loss, **found})
        self._report(state, evaluation)
        target = self.config.target_loss
        if target is not None and tally.loss <= target:
            control.should_training_stop = True
            tally.stop = "target loss"
        if not control.should_training_stop:
            self._leave_point(state)

    # -- parts -----------------------------------------------------------------------------

    @property
    def _trainer(self) -> HyperfitTrainer:
        assert self.trainer is not None, "the tracker was not given its trainer"
        return self.trainer

    def _seconds(self) -> float:
        """Training time so far by the first process's clock, earlier runs included."""
        mine = self._earlier[0] + time.monotonic() - self._began
        return self.processes.everywhere(mine)[0]

    def _speed(self) -> float | None:
        seconds = self.tally.seconds - self._earlier[0]
        return (self.tally.tokens - self._earlier[1]) / seconds if seconds > 0 else None

    def _evaluate(self) -> Evaluation | None:
        if self.evaluator is None:
            return None
        every = self.config.eval_every
        if every is not None and self.tally.epochs % every == 0:
            return self.processes.everywhere(self.evaluator())[0]
        return Evaluation(self.heldout_loss()) if self.config.keep_control else None

    def heldout_loss(self) -> float:
        """Validation loss in nats per predicted token; all processes call this."""
        assert self.evaluator is not None  # asked for held-out figures without held-out text
        return self.processes.everywhere(self.evaluator.loss())[0]

    def _save_checkpoints(self, state: TrainerState, evaluation: Evaluation | None) -> None:
        tally, loss = self.tally, self.tally.loss
        assert loss is not None  # an epoch was just closed
        facts = {"epoch": tally.epochs, "step": state.global_step, "epoch_loss": loss}
        if evaluation is not None:
            facts["heldout_loss"] = evaluation.heldout_loss
        reached = [at for at in self.config.save_at if loss <= at and at not in tally.levels]
        if reached:
            tally.levels += sorted(reached, reverse=True)
            self.save(f"checkpoints/loss-{min(reached):g}", {**facts, "levels": sorted(reached)})
        if tally.epochs in self.config.save_epochs:
            self.save(f"checkpoints/epoch-{tally.epochs}", facts)
        if self.config.keep_control and evaluation is not None:
            best = tally.control_loss
            if best is None or evaluation.heldout_loss < best:
                tally.control_loss = evaluation.heldout_loss
                self.save("control", facts)

    def _report(self, state: TrainerState, evaluation: Evaluation | None = None) -> None:
        if self.on_progress is None or not self.processes.first:
            return
        tally, config = self.tally, self.config
        mean = tally.epoch_sum / tally.epoch_targets if tally.epoch_targets else tally.loss
        done = state.global_step - self._first_step
        seconds = tally.seconds - self._earlier[0]
        left = seconds / done * (state.max_steps - state.global_step) if done else None
        self.on_progress(
            Progress(
                phase="train",
                epoch=(max(state.global_step, 1) - 1) // self.steps_per_epoch + 1,
                epochs=config.epochs,
                step=state.global_step,
                total_steps=state.max_steps,
                steps_per_epoch=self.steps_per_epoch,
                loss=mean,
                target=config.target_loss,
                tokens_per_second=self._speed(),
                seconds_left=left,
                evaluation=evaluation,
            )
        )

    def _leave_point(self, state: TrainerState) -> None:
        every = self.config.resume_every
        if self.tally.seconds < self._next_point:
            return
        trainer, began = self._trainer, self._seconds()
        write_point(
            self.folder, trainer.module, trainer.optimizer, trainer.lr_scheduler, state,
            asdict(self.tally), self.processes,
        )  # fmt: skip
        ended = self._seconds()
        self._next_point = ended + max(every, PAUSE * (ended - began)) if every else 0.0
