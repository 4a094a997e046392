"""Hugging Face's Trainer with our order of the data, our faults and our resume points."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import DistributedType, FullyShardedDataParallelPlugin
from torch import Tensor, nn
from torch.utils.data import DataLoader

from hyperinterp.distributed import ALONE, Processes
from hyperinterp.errors import NumericalFault
from hyperinterp.text import TokenRows
from hyperinterp.training.config import TrainConfig
from hyperinterp.training.data import (
    IGNORED,
    EpochSampler,
    RowDataset,
    ShareSampler,
    pad_rows,
)
from hyperinterp.training.module import LossModule
from hyperinterp.training.plateau import Plateau
from hyperinterp.training.prefix import PrefixCache
from hyperinterp.training.resume import load_optimizer, load_weights
from hyperinterp.training.sharding import block_classes, norms
from hyperinterp.training.silent import PrinterCallback, Trainer, TrainerCallback, TrainingArguments


@dataclass
class StepFigures:
    """The measures of the last optimiser step; sums run over its micro-batches.

    Attributes:
        loss_sum: summed loss in nats.
        targets: predicted tokens.
        tokens: token ids that went in, padding left out.
        grad_norm: global gradient norm before clipping.
    """

    loss_sum: float = 0.0
    targets: int = 0
    tokens: int = 0
    grad_norm: float = 0.0

    @property
    def loss(self) -> float:
        """Mean loss of the step in nats per predicted token."""
        return self.loss_sum / max(self.targets, 1)


def collator(
    rows: TokenRows, prefix: PrefixCache | None
) -> Callable[[Sequence[int]], dict[str, Tensor]]:
    """A function from row numbers to the inputs of `LossModule`.

    For no numbers it gives one row without labels: a pass of no loss, which processes that have
    nothing left make for those that have.
    """

    def collate(numbers: Sequence[int]) -> dict[str, Tensor]:
        idle = not len(numbers)
        numbers = [0] if idle else numbers
        ids, labels = pad_rows([rows.rows[number] for number in numbers])
        if idle:
            labels.fill_(IGNORED)
        batch = {"input_ids": ids, "labels": labels}
        if prefix is not None:
            batch["stream"] = prefix.batch(numbers, ids.shape[1])
        return batch

    return collate


def arguments(
    config: TrainConfig,
    folder: Path,
    device: torch.device,
    units: Sequence[str] = (),
    *,
    pinned: bool = True,
) -> TrainingArguments:
    """Trainer's settings for a recipe: it neither prints, nor saves, nor evaluates by itself.

    Args:
        config: the recipe.
        folder: where Trainer may put a tracker's files.
        device: where to train.
        units: class names of the modules that FSDP gathers at a time; none: no FSDP.
        pinned: batches are in the machine's memory, and are pinned there for a card.
    """
    fused = device.type in ("cpu", "cuda")
    sharded = {"version": 2, "transformer_layer_cls_to_wrap": list(units)} if units else None
    made = TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=config.batch_size,
        gradient_accumulation_steps=config.grad_accum,
        num_train_epochs=config.epochs,
        max_steps=-1 if config.max_steps is None else config.max_steps,
        learning_rate=config.learning_rate,
        weight_decay=config.weight_decay,
        max_grad_norm=config.max_grad_norm,
        lr_scheduler_type=_scheduler(config),
        warmup_steps=config.warmup,
        optim="adamw_torch_fused" if fused else "adamw_torch",
        bf16=config.dtype == "bfloat16",
        seed=config.seed,
        use_cpu=device.type == "cpu",
        ddp_find_unused_parameters=not config.uses_lora,
        fsdp=bool(units),  # pyright: ignore[reportArgumentType]
        fsdp_config=sharded,
        logging_strategy="no" if config.report_to == "none" else "steps",
        logging_steps=1,
        logging_nan_inf_filter=False,
        report_to=config.report_to,
        save_strategy="no",
        eval_strategy="no",
        disable_tqdm=True,
        remove_unused_columns=False,
        label_names=["labels"],
        dataloader_pin_memory=pinned and device.type == "cuda",
        dataloader_num_workers=0,
    )
    made._n_gpu = min(made.n_gpu, 1)  # one process drives one device; torchrun for more
    return made


def _scheduler(config: TrainConfig) -> str:
    steady = config.schedule in ("constant", "plateau")  # create_scheduler makes the latter
    return "constant_with_warmup" if steady else config.schedule


class HyperfitTrainer(Trainer):
    """Trainer for `LossModule`.

    Args:
        module: what is trained.
        rows: token rows of the training data.
        prefix: cached stream for them, or None.
        config: the recipe.
        folder: where Trainer may put a tracker's files.
        callbacks: ours; Trainer's printer is taken out.
        processes: those that train together.
        sharded: spread the weights over them (FSDP) rather than keep them whole in each.
    """

    def __init__(
        self,
        module: LossModule,
        rows: TokenRows,
        prefix: PrefixCache | None,
        config: TrainConfig,
        folder: Path,
        callbacks: list[TrainerCallback],
        processes: Processes = ALONE,
        *,
        sharded: bool = False,
    ) -> None:
        self.sampler = EpochSampler(len(rows), config.seed)
        self.figures = StepFigures()
        self.module = module
        self.processes = processes
        self._fresh = True
        self._plateau, self._warmup = config.schedule == "plateau", config.warmup
        units = block_classes(module.model) if sharded else ()
        pinned = prefix is None or prefix.place != "device"
        given = arguments(config, folder, module.model.device, units, pinned=pinned)
        super().__init__(
            model=module,
            args=given,
            data_collator=collator(rows, prefix),
            train_dataset=RowDataset(rows),
            callbacks=callbacks,
        )
        self.remove_callback(PrinterCallback)

    def create_accelerator_and_postprocess(self) -> None:
        """Let accelerate turn FSDP on where it does so for accelerators only.

        On CPUs torch's own FSDP works as well, over gloo.
        """
        super().create_accelerator_and_postprocess()
        state = self.accelerator.state
        if self.args.fsdp and state.distributed_type == DistributedType.MULTI_CPU:
            given: dict[str, Any] = dict(self.args.fsdp_plugin_args or {})
            state.fsdp_plugin = FullyShardedDataParallelPlugin(**given)
            state.distributed_type = DistributedType.FSDP
            self.is_fsdp_enabled = True

    def create_scheduler(
        self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None
    ) -> Any:
        """Make the schedule of the recipe; Trainer has no plateau that warms up."""
        if not self._plateau:
            return super().create_scheduler(num_training_steps, optimizer)
        if self.lr_scheduler is None:
            of: Any = optimizer or self.optimizer
            self.lr_scheduler = Plateau(of, self._warmup)
            self._created_lr_scheduler = True
        return self.lr_scheduler

    def end_epoch(self, loss: float) -> None:
        """Let the schedule see the mean loss of a whole epoch."""
        if isinstance(self.lr_scheduler, Plateau):
            self.lr_scheduler.see(loss)

    @property
    def last_rate(self) -> float:
        """Learning rate of the step that was just made."""
        return float(self._get_learning_rate())

    def get_train_dataloader(self) -> DataLoader[int]:
        """Batches of row numbers: this process's share of each."""
        assert self.train_dataset is not None  # given by __init__
        return DataLoader(
            self.train_dataset,  # pyright: ignore[reportArgumentType]
            batch_sampler=ShareSampler(
                self.sampler, self.args.per_device_train_batch_size, self.processes
            ),
            collate_fn=self.data_collator,
            pin_memory=self.args.dataloader_pin_memory,
        )

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """The loss of one micro-batch; its sums are added to `figures`.

        Raises:
            NumericalFault: the loss is NaN or infinite.
        """
        found = model(**inputs, num_items_in_batch=num_items_in_batch)
        rows = (inputs["labels"] != IGNORED).any(1).sum()
        sums = torch.stack([found["loss_sum"].double(), found["targets"], rows])
        if self.processes.size > 1:
            sums = self.processes.summed(sums)
        loss_sum, targets, count = sums.tolist()
        step = self.state.global_step + 1
        if not torch.isfinite(sums).all():
            raise NumericalFault(
                f"training: loss: expected a number, found {loss_sum} at step {step}"
            )
        if self._fresh:
            self.figures, self._fresh = StepFigures(), False
        self.figures.loss_sum += loss_sum
        self.figures.targets += round(targets)
        self.figures.tokens += round(targets + count)  # a row's first token is not predicted
        loss = found["loss"]
        if num_items_in_batch is not None:
            loss = loss * self.processes.size  # DDP and FSDP average what we have summed
        return (loss, found) if return_outputs else loss

    def training_step(
        self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: Any = None
    ) -> Tensor:
        """One forward and backward pass, then a look at the gradients.

        Raises:
            NumericalFault: the loss or a gradient is NaN or infinite.
        """
        loss = super().training_step(model, inputs, num_items_in_batch)
        if self.accelerator.sync_gradients:
            self.figures.grad_norm = self._checked_norm(model)
            self._fresh = True
        return loss

    def _checked_norm(self, model: nn.Module) -> float:
        named = [(name, p.grad) for name, p in model.named_parameters() if p.grad is not None]
        each = norms(grad for _, grad in named)
        total = float(torch.linalg.vector_norm(each))
        if total != total or total == float("inf"):
            bad = int((~torch.isfinite(each)).nonzero()[0]) if not each.isfinite().all() else 0
            name = named[bad][0].removeprefix("module.").removeprefix("hf.")
            raise NumericalFault(
                f"training: gradient of {name}: expected numbers, found NaN or infinity at step "
                f"{self.state.global_step + 1}"
            )
        return total

    # Resume points hold no pickles: weights and moments are safetensors, the rest is JSON.

    def _load_from_checkpoint(
        self, resume_from_checkpoint: str, model: nn.Module | None = None
    ) -> None:
        load_weights(self.module, Path(resume_from_checkpoint))

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is not None:
            load_optimizer(self.optimizer, self.lr_scheduler, Path(checkpoint))

    def _load_rng_state(self, checkpoint: str | None) -> None:
        """Nothing draws random numbers during training; the order comes from (seed, epoch)."""
