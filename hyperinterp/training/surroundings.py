"""The surroundings of a training run: a launcher's processes, a tracker, its account."""

import os
from pathlib import Path

from transformers.integrations.integration_utils import get_available_reporting_integrations

from hyperinterp.distributed import Processes
from hyperinterp.errors import InputRefused
from hyperinterp.models import AnyModel
from hyperinterp.trackers import check_tracker
from hyperinterp.training.config import TrainConfig


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
    """Refuse a card that training would leave: alone, Trainer takes the first one it sees."""
    kind, _, number = device.partition(":")
    if processes.size == 1 and kind == "cuda" and number not in ("", "0"):
        raise InputRefused(
            f"device: expected the first card that training can see, found {device}; set "
            f"CUDA_VISIBLE_DEVICES={number} and --device cuda"
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
    if config.eval_every is not None:
        raise InputRefused(
            "fsdp: expected no eval_every, found "
            f"{config.eval_every}: writing texts needs the whole model in each process; "
            "leave it out"
        )
