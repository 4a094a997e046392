"""`train`: hyperfit a model, from a name and passages to a directory."""

import json
import math
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

from hyperinterp.ambient import own_settings
from hyperinterp.arguments import check_arguments
from hyperinterp.checkpoints import check_like, check_vocabulary, load_tokenizer, pinned
from hyperinterp.distributed import ALONE, Processes
from hyperinterp.errors import InputRefused
from hyperinterp.models import AnyModel, HookedModel, check_given
from hyperinterp.ranges import of_kind
from hyperinterp.text import TokenRows, as_passages, chat_of, check_chat, tokenise
from hyperinterp.training.config import TrainConfig
from hyperinterp.training.data import DataSummary, prepare_rows
from hyperinterp.training.evaluation import Evaluator
from hyperinterp.training.folder import RunFolder
from hyperinterp.training.log import LOG_NAME, TrainingLog
from hyperinterp.training.module import LossModule
from hyperinterp.training.output import Writer
from hyperinterp.training.prefix import PrefixCache, build_prefix, text_free
from hyperinterp.training.quiet import faults_named, own_randomness, quiet_trainer
from hyperinterp.training.result import RESULT_NAME, TrainResult
from hyperinterp.training.sharding import asked_of_accelerate
from hyperinterp.training.starting import own, prepared
from hyperinterp.training.surroundings import (
    check_card,
    check_fsdp,
    check_surroundings,
    tracker_faults,
)
from hyperinterp.training.targets import Trainable, check_method, trainable
from hyperinterp.training.tracker import Progress, Tally, Tracker
from hyperinterp.training.trainer import HyperfitTrainer


@own_settings()
def train(
    model: AnyModel,
    passages: Any,
    out: str | Path,
    config: TrainConfig | None = None,
    *,
    heldout: Any = None,
    base: AnyModel | None = None,
    revision: str | None = None,
    subfolder: str | None = None,
    like: str | Path | None = None,
    device: str = "auto",
    force: bool = False,
    resume: bool = False,
    on_progress: Callable[[Progress], None] | None = None,
    processes: Processes = ALONE,
    fsdp: bool = False,
    split: str | None = None,
    column: str | None = None,
    chat: str = "auto",
    tokenizer: str | Path | PreTrainedTokenizerBase | None = None,
) -> TrainResult:
    """Hyperfit a causal language model.

    Each passage is one row, cut to `config.seq_len` tokens; nothing is packed. The run keeps its
    files in `OUT.run` beside `out`, and `out` appears complete or not at all.

    Under a launcher every process makes the same call. N processes with `batch_size` b make the
    steps of one process with N b, up to rounding; the first one writes, and all must see `OUT.run`.

    Args:
        model: by name or in memory, whatever `hyperinterp.load` takes. A model in memory is left as
            it was: a float32 copy is trained. A HookedModel has to be in float32.
        passages: what to learn by heart, in any form that `as_passages` takes.
        out: directory to make: a PEFT adapter (LoRA) or a `save_pretrained` directory.
        config: the recipe; late-stage LoRA on the last five blocks by default.
        heldout: passages for the evaluation, the control checkpoint and the final held-out loss,
            likewise.
        base: what an adapter given as `model` sits on.
        revision: commit, branch or tag of `model`, a Hugging Face id.
        subfolder: folder of `model` inside its repository or directory.
        like: for a model that is a state dict, the checkpoint with its config and tokenizer.
        device: `auto`, `cpu` or `cuda`: the first card that is visible.
        force: replace `out`, and discard an unfinished run.
        resume: continue the unfinished run of the same recipe and data; the weights come out
            bit-identical. A finished one is returned as it is.
        on_progress: called after every step, in the first process.
        processes: those that train together, from `hyperinterp.distributed.join`.
        fsdp: spread weights, gradients and moments over the processes, block by block; so does
            `accelerate launch --use_fsdp`. Without the prefix cache.
        split: of both texts; see `as_passages`.
        column: their field of text; see `as_passages`.
        chat: "auto" puts conversations into the model's chat template, "on" plain texts too, as
            what a user says; "off" reads text as it is and refuses conversations. All tokens of
            a conversation are learnt.
        tokenizer: reads the passages in place of the model's own, and is saved with what is
            trained: a tokenizer, or the name of a checkpoint that has it.

    Returns:
        What the run made: its directory, epochs, steps, loss in nats, and the rule that ended it.

    Raises:
        InputRefused: an option, text or directory cannot be used; nothing was written.
        NumericalFault: a loss, gradient or weight became NaN or infinite; nothing is saved.
        OutOfResources: memory or disk ran out.
        KeyboardInterrupt: with a hint how to resume; the last resume point stays.
    """
    check_arguments(
        out=out, revision=revision, subfolder=subfolder, device=device, force=force,
        resume=resume, fsdp=fsdp, on_progress=on_progress, processes=processes,
    )  # fmt: skip
    config, out = TrainConfig() if config is None else config, Path(out)
    of_kind("config", config, TrainConfig, "a hyperinterp.TrainConfig")
    check_given(model, "model")
    model = pinned(model, revision, subfolder)
    fsdp = fsdp or asked_of_accelerate()
    check_like(like, model, base)
    check_surroundings(config, processes)
    check_card(str(model.device) if isinstance(model, HookedModel) else device, processes)
    if fsdp:
        check_fsdp(model, config, processes)
    if config.keep_control and heldout is None:
        raise InputRefused(
            "keep_control: expected held-out passages to choose it by, found none; give heldout="
        )
    if config.eval_every is not None and heldout is None:
        raise InputRefused(
            "eval_every: expected held-out passages to evaluate on, found none; give heldout="
        )
    check_chat(chat)
    fields: dict[str, Any] = {"split": split, "column": column}
    learnt = as_passages(passages, what="passages", **fields)
    unseen = None if heldout is None else as_passages(heldout, what="heldout", **fields)
    folder = RunFolder(out, force=force, resume=resume)
    processes.by_first(folder.check)
    hooked = prepared(model, base=base, like=like, device=device)
    if isinstance(model, HookedModel):
        hooked = own(hooked, weights_train=not config.uses_lora)
    if tokenizer is not None:
        hooked = hooked.reading_with(load_tokenizer(tokenizer))
        check_vocabulary(hooked.hf, hooked.tokenizer, hooked.name)
    check_method(hooked, config)
    reader = _tokenizer(hooked)
    template = chat_of(chat, [(hooked.name, reader)])
    rows, data = prepare_rows(reader, learnt, config.seq_len, template)
    held = None if unseen is None else tokenise(reader, unseen, config.seq_len, chat=template)
    lengths = [len(row) for some in (rows, held) if some is not None for row in some.rows]
    hooked.check_length(max(lengths), "seq_len")
    digest = None if unseen is None else unseen.sha256
    recipe = _recipe(hooked, config, data, digest if config.keep_control else None)
    if processes.size > 1:
        recipe |= {"processes": processes.size, "fsdp": fsdp}
    finished = processes.by_first(lambda: folder.begin(recipe))
    if finished is not None:
        return TrainResult.of_json(out, finished)
    try:
        with quiet_trainer(), own_randomness(config.seed), faults_named(folder.path):
            return _Run(
                hooked, rows, held, data, config, folder, on_progress, digest, processes,
                sharded=fsdp,
            ).result()  # fmt: skip
    finally:
        if processes.first:
            folder.release()


def _tokenizer(model: HookedModel) -> Any:
    if model.tokenizer is None:
        raise InputRefused(
            f"{model.name}: expected a model with a tokenizer, found none; give it one with "
            "--tokenizer or tokenizer="
        )
    return model.tokenizer


def _recipe(
    model: HookedModel, config: TrainConfig, data: DataSummary, heldout_sha256: str | None
) -> dict[str, Any]:
    """Everything that determines the weights; a resumed run must have the same."""
    return {
        **config.as_json(),
        "base_fingerprint": model.fingerprint,
        "data_sha256": data.sha256,
        "tokens_sha256": data.tokens_sha256,
        "heldout_sha256": heldout_sha256,
    }


class _Run:
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
        with ExitStack() as stack:
            chosen = stack.enter_context(trainable(self.model, self.config))
            stack.callback(self.model.hf.zero_grad, set_to_none=True)
            return self._trained(chosen)

    def _trained(self, chosen: Trainable) -> TrainResult:
        config, folder = self.config, self.folder
        point = self.processes.by_first(folder.newest)
        tally = Tally(**point.state) if point else Tally()
        log = TrainingLog(folder.path, point.step if point else None, mute=not self.processes.first)
        log.write("resume" if point else "start", step=point.step if point else 0)
        prefix = self._prefix(self.rows, chosen, "prefix", tell=True)
        start = chosen.blocks[0]
        module = LossModule(
            self.model, start, chosen.blocks if config.gradient_checkpointing else ()
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
        where = "none" if prefix is None else "mapped" if prefix.mapped else "memory"
        return self._published(writer, tracker, trainer.state.global_step, where)

    def _published(self, writer: Writer, tracker: Tracker, steps: int, where: str) -> TrainResult:
        tally, out = tracker.tally, self.folder.out
        capped = self.config.max_steps is not None and steps >= self.config.max_steps
        stop = tally.stop or ("max steps" if capped else "epochs")
        result = TrainResult(
            out=out,
            method=self.config.method,
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
        if not config.prefix_cache or start == 0 or config.method != "late-stage":
            return None
        if self.sharded:
            return None
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
            dtype=torch.bfloat16 if config.dtype == "bfloat16" else None,
            on_rows=on_rows,
        )

    def _evaluator(
        self, module: LossModule, chosen: Trainable, prefix: PrefixCache | None
    ) -> Evaluator | None:
        config = self.config
        if self.held is None:
            return None
        held_prefix = None if prefix is None else self._prefix(self.held, chosen, "heldout-prefix")
        bf16 = config.dtype == "bfloat16"
        return Evaluator(module, self.held, held_prefix, config.batch_size, bf16=bf16)
