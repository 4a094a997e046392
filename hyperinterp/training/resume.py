"""Resume points: complete or absent, newest that verifies, free of pickles."""

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import TrainerState

from hyperinterp.checkpoints import verify_directory, write_directory
from hyperinterp.distributed import ALONE, Processes
from hyperinterp.errors import CorruptFile, InputRefused, NumericalFault
from hyperinterp.training.sharding import spread_like, whole
from hyperinterp.training.silent import TRAINER_STATE_NAME

KEPT = 2
_WEIGHTS, _MOMENTS, _STATE = "trainable.safetensors", "optimizer.safetensors", "state.json"


@dataclass(frozen=True)
class ResumePoint:
    """A verified resume point.

    Attributes:
        path: its directory.
        step: optimiser steps done.
        state: what the tracker had recorded.
    """

    path: Path
    step: int
    state: dict[str, Any]


def run_directory(out: Path) -> Path:
    """Return the directory of an unfinished run: `NAME.run` beside the directory to be made."""
    return out.with_name(out.name + ".run")


def trained_parameters(module: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that train, by name, in the order of the optimiser."""
    return {name: p for name, p in module.named_parameters() if p.requires_grad}


def write_point(
    folder: Path,
    module: nn.Module,
    optimizer: Any,
    scheduler: Any,
    trainer_state: TrainerState,
    state: Mapping[str, Any],
    processes: Processes = ALONE,
) -> Path:
    """Write `step-N` below `folder`: fsynced, manifest last, renamed; older ones are removed.

    All processes call this, and the first one writes.

    Raises:
        OutOfResources: the disk is full; earlier points are untouched.
        NumericalFault: a weight is NaN or infinite; nothing is written.
    """
    step = trainer_state.global_step
    weights = {name: whole(parameter) for name, parameter in trained_parameters(module).items()}
    for name, tensor in weights.items():
        if not bool(torch.isfinite(tensor).all()):
            raise NumericalFault(
                f"training: {name.removeprefix('hf.')}: expected finite weights, found NaN or "
                f"infinity after step {step}; lower the learning rate (--lr)"
            )
    moments, plain = _split(optimizer.state_dict())

    def fill(partial: Path) -> None:
        save_file(weights, partial / _WEIGHTS)
        save_file(moments, partial / _MOMENTS)
        document = {"state": dict(state), "optimizer": plain, "scheduler": scheduler.state_dict()}
        (partial / _STATE).write_text(json.dumps(document), encoding="utf-8")
        trainer_state.save_to_json(str(partial / TRAINER_STATE_NAME))

    def write() -> Path:
        made = write_directory(folder / f"step-{step}", fill, provenance={"step": step}, force=True)
        for old in _points(folder)[KEPT:]:
            shutil.rmtree(old, ignore_errors=True)
        return made

    return processes.by_first(write)


def newest_point(folder: Path) -> ResumePoint | None:
    """The newest resume point whose every byte verifies; broken ones are passed over."""
    for path in _points(folder):
        try:
            manifest = verify_directory(path)
        except CorruptFile:
            continue
        if manifest is not None:
            state = json.loads((path / _STATE).read_text(encoding="utf-8"))["state"]
            return ResumePoint(path, int(manifest.provenance["step"]), state)
    return None


def load_weights(module: nn.Module, path: Path) -> None:
    """Put a resume point's weights into the parameters that train.

    Raises:
        InputRefused: the names or shapes are not those of this run.
    """
    stored = load_file(path / _WEIGHTS)
    wanted = trained_parameters(module)
    if stored.keys() != wanted.keys():
        raise InputRefused(
            f"{path}: expected the {len(wanted)} tensors that train, found {len(stored)} others; "
            "start anew with --force"
        )
    with torch.no_grad():
        for name, parameter in wanted.items():
            if stored[name].shape != parameter.shape:
                raise InputRefused(
                    f"{path}: {name}: expected shape {tuple(parameter.shape)}, "
                    f"found {tuple(stored[name].shape)}; start anew with --force"
                )
            parameter.copy_(spread_like(stored[name], parameter))


def load_optimizer(optimizer: Any, scheduler: Any, path: Path) -> None:
    """Put a resume point's moments and schedule back."""
    document = json.loads((path / _STATE).read_text(encoding="utf-8"))
    moments = load_file(path / _MOMENTS)
    state: dict[int, dict[str, Any]] = {}
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for key, tensor in moments.items():
        index, _, name = key.partition(".")
        state.setdefault(int(index), {})[name] = spread_like(tensor, parameters[int(index)])
    for key, value in document["optimizer"]["state"].items():
        index, _, name = key.partition(".")
        state.setdefault(int(index), {})[name] = value
    groups = document["optimizer"]["param_groups"]
    for group in groups:
        group["betas"] = tuple(group["betas"])
    optimizer.load_state_dict({"state": state, "param_groups": groups})
    scheduler.load_state_dict(document["scheduler"])


def _split(state: Mapping[str, Any]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    tensors: dict[str, Tensor] = {}
    plain: dict[str, Any] = {}
    for index, entries in state["state"].items():
        for name, value in entries.items():
            target = tensors if isinstance(value, Tensor) else plain
            target[f"{index}.{name}"] = whole(value) if isinstance(value, Tensor) else value
    return tensors, {"state": plain, "param_groups": state["param_groups"]}


def _points(folder: Path) -> list[Path]:
    """Directories named step-N, newest first."""
    found = [
        path
        for path in folder.glob("step-*")
        if re.fullmatch("step-[0-9]+", path.name) and path.is_dir()
    ]
    return sorted(found, key=lambda path: int(path.name[5:]), reverse=True)
