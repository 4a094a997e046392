"""The command `train`: one run, or a sweep over blocks and seeds."""

from pathlib import Path
from typing import Annotated

import typer

from hyperinterp.cli import options as o
from hyperinterp.cli.filed import FiledConfig
from hyperinterp.errors import InputRefused


def train(
    model: Annotated[str, typer.Argument(help="The checkpoint to start from.")],
    revision: o.Revision = None,
    subfolder: o.Subfolder = None,
    like: o.Like = None,
    method: o.Method = "late-stage",
    tokenizer: o.Tokenizer = None,
    data: o.Data = None,
    column: o.Column = None,
    split: o.Split = None,
    chat: o.Chat = "auto",
    config: FiledConfig = None,
    out: o.Out = Path("hyperfitted"),
    passages: o.Count = None,
    heldout: o.Heldout = None,
    blocks: o.Blocks = None,
    full_weights: o.FullWeights = False,
    rank: o.Rank = 32,
    alpha: o.Alpha = None,
    lr: o.Rate = None,
    schedule: o.Schedule = "plateau",
    warmup: o.Warmup = 0,
    weight_decay: o.Decay = 0.0,
    epochs: o.Epochs = 40,
    max_steps: o.MaxSteps = None,
    max_seconds: o.MaxSeconds = None,
    target_loss: o.TargetLoss = 0.05,
    batch_size: o.BatchSize = 8,
    grad_accum: o.GradAccum = 1,
    seq_len: o.SeqLen = 128,
    gradient_checkpointing: o.Checkpointing = False,
    deterministic: o.Deterministic = False,
    seed: o.Seed = 0,
    seeds: o.Seeds = "",
    dtype: o.TrainDtype = "float32",
    frozen_bf16: o.FrozenHalf = False,
    compile: o.Compile = False,
    device: o.Device = "auto",
    fsdp: o.Fsdp = False,
    eval_every: o.EvalEvery = None,
    save_at: o.SaveAt = "",
    save_epochs: o.SaveEpochs = "",
    keep_control: o.KeepControl = False,
    resume: o.Resume = False,
    report_to: o.ReportTo = "none",
    force: o.Force = False,
    json: o.Json = False,
) -> None:
    """Fine-tune MODEL on a few passages until it knows them by heart.

    Several --blocks or --seeds are a sweep: OUT then holds a directory per run and one table;
    the same command again continues it.
    """
    placements = o.placements(blocks)
    sown = o.numbers("--seeds", seeds, int)
    fields = {
        "method": method,
        "late_stage_weights": full_weights,
        "rank": rank,
        "alpha": alpha,
        "lr": lr,
        "schedule": schedule,
        "warmup": warmup,
        "weight_decay": weight_decay,
        "epochs": epochs,
        "max_steps": max_steps,
        "max_seconds": max_seconds,
        "target_loss": target_loss,
        "batch_size": batch_size,
        "grad_accum": grad_accum,
        "seq_len": seq_len,
        "gradient_checkpointing": gradient_checkpointing,
        "deterministic": deterministic,
        "dtype": dtype,
        "frozen_bf16": frozen_bf16,
        "compile": compile,
        "eval_every": eval_every,
        "save_at": o.numbers("--save-at", save_at, float),
        "save_epochs": o.numbers("--save-epochs", save_epochs, int),
        "keep_control": keep_control,
        "report_to": report_to,
    }
    swept = len(placements) > 1 or bool(sown)
    if not (resume or swept):
        o.refuse_taken(out, force)
    from hyperinterp.checkpoints import pinned
    from hyperinterp.cli.training import Job

    named = pinned(model, revision, subfolder)
    job = Job(
        named, out, fields, data=data, column=column, split=split, chat=chat, like=like,
        tokenizer=tokenizer,
        count=passages, heldout=heldout, device=device, force=force, json=json, fsdp=fsdp,
    )  # fmt: skip
    if swept and fsdp:
        raise InputRefused("--fsdp: expected one run, found a sweep, whose processes work alone")
    if swept:
        job.sweep(placements, sown or (seed,))
    else:
        job.train(placements, seed, resume=resume)
