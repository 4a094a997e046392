"""The settings of a training run, none of which depends on a model."""

from dataclasses import asdict, dataclass
from typing import Any

from hyperinterp.blocks import Placement
from hyperinterp.errors import InputRefused
from hyperinterp.ranges import at_least, check_seed, each, of_kind, one_of, positive

METHODS = ("full", "lora", "late-stage")
SCHEDULES = ("plateau", "constant", "linear", "cosine")
DTYPES = ("float32", "bfloat16")
_DEFAULT_LR = {"full": 1e-4, "lora": 2e-3, "late-stage": 2e-3}


@dataclass(frozen=True)
class TrainConfig:
    """A hyperfitting recipe. Dropout is always 0: every module stays in evaluation mode.

    Attributes:
        method: `full` (weights), `lora` (LoRA on all linear maps) or `late-stage` (the same on the
            last five blocks only).
        blocks: which blocks train: `last:5`, `first:5`, `middle:5`, `random:5` (drawn from the
            seed), `10-14` or `3+8+17`, counted from 0. None: `last:5` for `late-stage`, everything
            for `full` (also what lies outside the blocks), all blocks for `lora`.
        late_stage_weights: `late-stage` trains the full weights of its blocks instead of LoRA.
        rank: LoRA rank.
        alpha: LoRA alpha; None means twice the rank.
        lr: peak learning rate; None means 1e-4 for `full`, 2e-3 otherwise.
        epochs: at most this many passes over the data.
        max_steps: at most this many optimiser steps.
        max_seconds: at most this much training time (resumed runs count the earlier time).
        target_loss: stop after the first epoch whose token-weighted mean loss is at most this,
            in nats; None never stops for the loss.
        batch_size: passages per forward pass.
        grad_accum: forward passes per optimiser step.
        seq_len: tokens kept of each passage; longer ones are cut, nothing is packed.
        seed: of the adapter's first weights and of the order of the data.
        dtype: `float32`, or `bfloat16` for bf16 compute with fp32 master weights.
        frozen_bf16: with LoRA and dtype `bfloat16`, keep the blocks' matrices, which do not train,
            in bfloat16 too: half their memory, and the same adapter to the bit.
        weight_decay: of AdamW.
        max_grad_norm: gradients are scaled down to this norm; 0 leaves them alone.
        schedule: of the learning rate: `plateau` (constant, halved after three epochs in which the
            mean loss fell by less than 1 %), `constant`, `linear` or `cosine`.
        warmup: steps of linear warm-up.
        prefix_cache: run frozen blocks once per passage when only the last blocks train.
        prefix_budget_bytes: above this the cached stream is memory-mapped on disk. On a card it
            stays there if it fits into a quarter of what is free.
        gradient_checkpointing: recompute each block in the backward pass.
        compile: run the step's blocks as `torch.compile` makes them: a slow start, then faster
            steps, equal up to rounding. On a CPU it needs a C++ compiler.
        eval_every: evaluate after every so many epochs; None never.
        save_at: loss levels; the first epoch at or below each leaves a checkpoint.
        save_epochs: epochs that leave a checkpoint.
        keep_control: keep the checkpoint of least validation loss.
        resume_every: seconds between resume points, at least; 20 times as long as writing the last
            one took, where that is more. 0 writes one at every step, whatever it costs.
        deterministic: let torch use deterministic algorithms alone, on a GPU as well, and refuse
            what has none.
        report_to: `none`, or a tracker that transformers knows (`tensorboard`, ...).

    Raises:
        InputRefused: a value outside its range.
    """

    method: str = "late-stage"
    blocks: str | None = None
    late_stage_weights: bool = False
    rank: int = 32
    alpha: float | int | None = None
    lr: float | int | None = None
    epochs: int = 40
    max_steps: int | None = None
    max_seconds: float | int | None = None
    target_loss: float | int | None = 0.05
    batch_size: int = 8
    grad_accum: int = 1
    seq_len: int = 128
    seed: int = 0
    dtype: str = "float32"
    frozen_bf16: bool = False
    weight_decay: float | int = 0.0
    max_grad_norm: float | int = 1.0
    schedule: str = "plateau"
    warmup: int = 0
    prefix_cache: bool = True
    prefix_budget_bytes: int = 2_000_000_000
    gradient_checkpointing: bool = False
    compile: bool = False
    eval_every: int | None = None
    save_at: tuple[float, ...] = ()
    save_epochs: tuple[int, ...] = ()
    keep_control: bool = False
    resume_every: float | int = 60.0
    deterministic: bool = False
    report_to: str = "none"

    def __post_init__(self) -> None:
        one_of("method", self.method, METHODS)
        one_of("schedule", self.schedule, SCHEDULES)
        one_of("dtype", self.dtype, DTYPES)
        for name in ("rank", "epochs", "batch_size", "grad_accum"):
            at_least(name, getattr(self, name), 1)
        if self.blocks is not None:
            Placement.read(self.blocks)
        at_least("seq_len", self.seq_len, 2)
        for name in ("warmup", "prefix_budget_bytes"):
            at_least(name, getattr(self, name), 0)
        check_seed(self.seed)
        for name, value in vars(self).items():
            if isinstance(getattr(TrainConfig, name), bool):
                of_kind(name, value, bool, "True or False")
        for name in ("max_steps", "eval_every"):
            if getattr(self, name) is not None:
                at_least(name, getattr(self, name), 1)
        for name in ("alpha", "lr", "max_seconds", "target_loss"):
            if getattr(self, name) is not None:
                positive(name, getattr(self, name))
        for name in ("weight_decay", "resume_every", "max_grad_norm"):
            positive(name, getattr(self, name), or_zero=True)
        for level in each("save_at", self.save_at):
            positive("save_at", level)
        for epoch in each("save_epochs", self.save_epochs):
            at_least("save_epochs", epoch, 1)
        if self.late_stage_weights and self.method != "late-stage":
            raise InputRefused(
                f"late_stage_weights: expected the method late-stage, found {self.method}; "
                "leave it out"
            )
        if self.frozen_bf16:
            self._check_frozen()

    def _check_frozen(self) -> None:
        """Refuse a base in bfloat16 where something needs it in float32."""
        for name, fits, wanted in (
            ("dtype", self.dtype == "bfloat16", "bfloat16"),
            ("method", self.uses_lora, "LoRA, which leaves the base as it is"),
            ("eval_every", self.eval_every is None, "none: texts are written in float32"),
        ):
            if not fits:
                raise InputRefused(
                    f"frozen_bf16: expected {name} {wanted}, found {getattr(self, name)!r}; leave "
                    "frozen_bf16 out"
                )

    @property
    def placement(self) -> Placement | None:
        """The blocks that train; None for everything that the method can train."""
        text = "last:5" if self.blocks is None and self.method == "late-stage" else self.blocks
        return None if text is None else Placement.read(text)

    @property
    def learning_rate(self) -> float:
        """The peak learning rate, with the method's default filled in."""
        return _DEFAULT_LR[self.method] if self.lr is None else self.lr

    @property
    def lora_alpha(self) -> float:
        """LoRA's alpha, twice the rank by default."""
        return 2.0 * self.rank if self.alpha is None else self.alpha

    @property
    def uses_lora(self) -> bool:
        """Return whether the result is a PEFT adapter rather than whole weights."""
        return self.method != "full" and not self.late_stage_weights

    def as_json(self) -> dict[str, Any]:
        """All fields as plain JSON values."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
        }


# What may differ between a run and its resumption: it changes no weight.
FREE_FIELDS = frozenset(
    {"resume_every", "prefix_budget_bytes", "report_to", "max_seconds", "eval_every", "frozen_bf16"}
)


def differing_fields(stored: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    """`name: stored -> wanted` for every field that would change the result of a run."""
    # A recipe of before a field was there was made with what is its default.
    defaults = {name: value for name, value in TrainConfig().as_json().items() if name in wanted}
    stored = defaults | stored
    return [
        f"{name}: {stored.get(name)!r} -> {wanted.get(name)!r}"
        for name in sorted({*stored, *wanted} - FREE_FIELDS)
        if stored.get(name) != wanted.get(name)
    ]
