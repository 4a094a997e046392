"""One training run, from a checked recipe to the finished directory."""

import json
import math
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import torch

from hyperinterp.checkpoints.files import LOG_NAME
from hyperinterp.distributed import Processes
from hyperinterp.memory import available
from hyperinterp.models import HookedModel
from hyperinterp.text import TokenRows
from hyperinterp.trackers import tracker_faults
from hyperinterp.training.config import TrainConfig
from hyperinterp.training.data import DataSummary
from hyperinterp.training.evaluation import Evaluator
from hyperinterp.training.folder import RunFolder
from hyperinterp.training.log import TrainingLog
from hyperinterp.training.module import LossModule
from hyperinterp.training.output import Writer
from hyperinterp.training.prefix import PrefixCache, build_prefix, text_free
from hyperinterp.training.result import RESULT_NAME, TrainResult
from hyperinterp.training.targets import Trainable, halve_frozen, trainable
from hyperinterp.training.tracker import Progress, Tally, Tracker
from hyperinterp.training.trainer import HyperfitTrainer

DEVICE_SHARE = 0.25
"""Of a card's free memory for the stream of the frozen blocks; training needs the rest."""


class Run:
    """One run, from a checked recipe to the directory."""

    def __init__(
        self,
        model: HookedModel,
        rows: TokenRows,
        held: TokenRows | None,
        data: DataSummary,
        config: TrainConfig,
        folder: RunFolder,
        on_progress: Callable[[Progress], None] | None,
        heldout_sha256: str | None,
        processes: Processes,
        *,
        sharded: bool,
    ) -> None:
        self.processes = processes
        self.sharded = sharded
        self.model = model
        self.rows = rows
        self.held = held
        self.data = data
        self.config = config
        self.folder = folder
        self.on_progress = on_progress
        self.heldout_sha256 = heldout_sha256

    def result(self) -> TrainResult:
        """Train to the end and return what was made; the model is then as it was before."""
        with ExitStack() as stack:
            chosen = stack.enter_context(trainable(self.model, self.config))
            stack.callback(self.model.hf.zero_grad, set_to_none=True)
            return self._trained(chosen)

    def _trained(self, chosen: Trainable) -> TrainResult:
        config, folder = self.config, self.folder
        if config.frozen_bf16:
            halve_frozen(self.model)
        point = self.processes.by_first(folder.newest)
        tally = Tally(**point.state) if point else Tally()
        log = TrainingLog(folder.path, point.step if point else None, mute=not self.processes.first)
        log.write("resume" if point else "start", step=point.step if point else 0)
        prefix = self._prefix(self.rows, chosen, "prefix", tell=True)
        start = chosen.blocks[0]
        module = LossModule(
            self.model,
            start,
            chosen.blocks if config.gradient_checkpointing else (),
            compiled=config.compile,
        )
        writer = Writer(
            self.model,
            chosen,
            config,
            self.data,
            self.model.name,
            self.model.fingerprint,
            folder.path,
            self.processes,
            self.sharded,
        )
        tracker = Tracker(
            config, log, folder.path, writer.save, self._evaluator(module, chosen, prefix),
            self.on_progress, tally, self._steps_per_epoch(), self.processes,
        )  # fmt: skip
        trainer = HyperfitTrainer(
            module, self.rows, prefix, config, folder.path / "trackers", [tracker],
            self.processes, sharded=self.sharded,
        )  # fmt: skip
        tracker.trainer = trainer
        with tracker_faults(config.report_to):
            trainer.train(resume_from_checkpoint=str(point.path) if point else None)
        where = "none" if prefix is None else prefix.place
        return self._published(writer, tracker, trainer.state.global_step, where)

    def _published(self, writer: Writer, tracker: Tracker, steps: int, where: str) -> TrainResult:
        tally, out = tracker.tally, self.folder.out
        capped = self.config.max_steps is not None and steps >= self.config.max_steps
        stop = tally.stop or ("max steps" if capped else "epochs")
        result = TrainResult(
            out=out,
            method=self.config.method,
            blocks=writer.chosen.blocks,
            epochs=tally.epochs,
            steps=steps,
            loss=tally.loss,
            stop=stop,
            trainable=writer.chosen.trainable,
            total=writer.chosen.total,
            tokens=tally.tokens,
            seconds=tally.seconds,
            tokens_per_second=tally.tokens / tally.seconds if tally.seconds else 0.0,
            prefix=where,
            control=out / "control" if tally.control_loss is not None else None,
            log=out / LOG_NAME,
            heldout_loss=None if tracker.evaluator is None else tracker.heldout_loss(),
            heldout_sha256=self.heldout_sha256,
            notes=self.model.notes,
        )
        told = {} if result.heldout_loss is None else {"heldout_loss": result.heldout_loss}
        tracker.log.write(
            "end", step=steps, stop=stop, epochs=tally.epochs, loss=tally.loss, **told
        )
        facts = {"epoch": tally.epochs, "step": steps, "epoch_loss": tally.loss, "stop": stop}

        def extra(partial: Path) -> None:
            (partial / LOG_NAME).write_bytes(tracker.log.path.read_bytes())
            document = {"recipe": self.folder.recipe, "result": result.as_json()}
            (partial / RESULT_NAME).write_text(json.dumps(document, indent=2), encoding="utf-8")

        writer.publish(out, facts, extra, force=self.folder.force)
        if self.processes.first:
            self.folder.close()
        return result

    # -- parts -----------------------------------------------------------------------------

    def _steps_per_epoch(self) -> int:
        batches = math.ceil(len(self.rows) / (self.config.batch_size * self.processes.size))
        return math.ceil(batches / self.config.grad_accum)

    def _prefix(
        self, rows: TokenRows, chosen: Trainable, name: str, *, tell: bool = False
    ) -> PrefixCache | None:
        """The cached stream, where frozen blocks come first and what follows is text-free."""
        config, start = self.config, chosen.blocks[0]
        if not config.prefix_cache or start == 0:
            return None
        if self.sharded:
            return None
        half = config.dtype == "bfloat16"
        with torch.autocast(self.model.device.type, dtype=torch.bfloat16, enabled=half):
            if not text_free(self.model, start):
                return None

        def on_rows(done: int) -> None:
            if tell and self.on_progress is not None and self.processes.first:
                steps = self._steps_per_epoch()
                self.on_progress(Progress("prefix", 0, config.epochs, done, len(rows), steps))

        rank = self.processes.rank
        folder = self.folder.path / (f"{name}-{rank}" if rank else name)
        folder.mkdir(exist_ok=True)
        return build_prefix(
            self.model,
            rows,
            start,
            batch_size=config.batch_size,
            budget_bytes=config.prefix_budget_bytes,
            folder=folder,
            dtype=torch.bfloat16 if half else None,
            device_bytes=self._device_bytes(),
            on_rows=on_rows,
        )

    def _device_bytes(self) -> int:
        """Bytes that the stream may take on the card; on the CPU it is in memory anyway."""
        device = self.model.device
        return 0 if device.type == "cpu" else int(DEVICE_SHARE * available(str(device)))

    def _evaluator(
        self, module: LossModule, chosen: Trainable, prefix: PrefixCache | None
    ) -> Evaluator | None:
        config = self.config
        if self.held is None:
            return None
        held_prefix = None if prefix is None else self._prefix(self.held, chosen, "heldout-prefix")
        bf16 = config.dtype == "bfloat16"
        return Evaluator(module, self.held, held_prefix, config.batch_size, bf16=bf16)
