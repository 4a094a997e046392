"""The surroundings of a training run: a launcher's processes, a tracker, its account."""

import os
from pathlib import Path

import torch

from hyperinterp.distributed import Processes
from hyperinterp.errors import InputRefused
from hyperinterp.models import AnyModel
from hyperinterp.trackers import check_tracker
from hyperinterp.training.config import TrainConfig
from hyperinterp.training.silent import get_available_reporting_integrations
from probes import devices

CUBLAS, REPEATABLE = "CUBLAS_WORKSPACE_CONFIG", (":4096:8", ":16:8")


def check_surroundings(config: TrainConfig, processes: Processes) -> None:
    """Refuse what this process cannot do, before any work."""
    launched = os.environ.get("WORLD_SIZE", "1")
    if launched != str(processes.size):
        raise InputRefused(
            f"train: expected processes=hyperinterp.distributed.join() where a launcher has "
            f"started several, found {processes.size} and WORLD_SIZE={launched}"
        )
    check_tracker(config.report_to, get_available_reporting_integrations())


def check_card(device: str, processes: Processes) -> None:
    """Refuse a card that training would leave: alone, Trainer takes the first one it sees.

    On a device without float64 it has never been tried.
    """
    kind, _, number = device.partition(":")
    if kind in devices.WITHOUT_FLOAT64:
        raise InputRefused(
            f"device: expected cpu or cuda to train on, found {device}, where it has not been "
            "tried; use --device cpu"
        )
    if processes.size == 1 and kind == "cuda" and number not in ("", "0"):
        raise InputRefused(
            f"device: expected the first card that training can see, found {device}; set "
            f"CUDA_VISIBLE_DEVICES={number} and --device cuda"
        )


def prepare_cublas(device: str) -> None:
    """Ask cuBLAS for workspaces with which it repeats itself, or refuse where it is too late.

    It looks at the environment when the card is first used in a process, once; so what is set
    here stays.

    Raises:
        InputRefused: the card was in use before, or something else is asked of cuBLAS.
    """
    kind = device.partition(":")[0]
    if not (kind == "cuda" or (kind == "auto" and torch.cuda.is_available())):
        return
    found = os.environ.get(CUBLAS)
    if found is None and not torch.cuda.is_initialized():
        os.environ[CUBLAS] = REPEATABLE[0]
    elif found not in REPEATABLE:
        raise InputRefused(
            f"deterministic: expected {CUBLAS}={REPEATABLE[0]} in the environment before the card "
            f"is first used, found {found or 'none'}; set it before Python starts"
        )


def check_fsdp(model: AnyModel, config: TrainConfig, processes: Processes) -> None:
    """Refuse what weights spread over several processes cannot do."""
    if processes.size == 1:
        raise InputRefused(
            "fsdp: expected several processes of one launcher, found one; leave "
            "it out, or start the command with torchrun"
        )
    if not isinstance(model, str | Path):
        raise InputRefused(
            "fsdp: expected the name of a model, found one in memory, which it would "
            "leave spread over the processes; give its name or path"
        )
    if config.compile:
        raise InputRefused(
            "fsdp: expected blocks as they are, found compile; leave one of the two out"
        )
    if config.frozen_bf16:
        raise InputRefused(
            "fsdp: expected weights of one dtype, found frozen_bf16; leave one of the two out"
        )
    if config.eval_every is not None:
        raise InputRefused(
            "fsdp: expected no eval_every, found "
            f"{config.eval_every}: writing texts needs the whole model in each process; "
            "leave it out"
        )
