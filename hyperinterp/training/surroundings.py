"""The surroundings of a training run: a launcher's processes, a tracker, its account."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from transformers.integrations.integration_utils import get_available_reporting_integrations

from hyperinterp.distributed import Processes
from hyperinterp.errors import InputRefused
from hyperinterp.models import AnyModel
from hyperinterp.training.config import TrainConfig

INSTALLABLE = ("tensorboard", "trackio", "wandb")
OFFLINE = "run `wandb login`, or set WANDB_MODE=offline and `wandb sync` the run later"


def check_surroundings(config: TrainConfig, processes: Processes) -> None:
    """Refuse what this process cannot do, before any work."""
    launched = os.environ.get("WORLD_SIZE", "1")
    if launched != str(processes.size):
        raise InputRefused(
            f"train: expected processes=hyperinterp.distributed.join() where a launcher has "
            f"started several, found {processes.size} and WORLD_SIZE={launched}"
        )
    _check_tracker(config.report_to)


def check_card(device: str, processes: Processes) -> None:
    """Refuse a card that training would leave: alone, Trainer takes the first one it sees."""
    kind, _, number = device.partition(":")
    if processes.size == 1 and kind == "cuda" and number not in ("", "0"):
        raise InputRefused(
            f"device: expected the first card that training can see, found {device}; set "
            f"CUDA_VISIBLE_DEVICES={number} and --device cuda"
        )


def _check_tracker(name: str) -> None:
    """Refuse a tracker that is not installed, or whose account is not there."""
    trackers = get_available_reporting_integrations()
    if name != "none" and name not in trackers:
        known = ", ".join(["none", *trackers])
        remedy = f"pip install {name}" if name in INSTALLABLE else "choose one of these"
        raise InputRefused(
            f"report_to: expected a tracker that is installed ({known}), found {name!r}; {remedy}"
        )
    lacks = _wandb_lacks() if name == "wandb" else ""
    if lacks:
        raise InputRefused(f"report_to: wandb: expected a login, found {lacks}; {OFFLINE}")


def _wandb_lacks() -> str:
    """Return the obstacle to wandb's start; empty where there is none, or if it works offline."""
    import wandb

    if os.environ.get("WANDB_MODE", "online").lower() not in ("online", "shared", ""):
        return ""
    try:
        return "" if wandb.login(prompt=False) else "none"
    except Exception as error:  # a key that is refused or malformed, or no way to its server
        return " ".join(str(error).split())[:200]


@contextmanager
def tracker_faults(name: str) -> Iterator[None]:
    """Say what to do when a tracker cannot start or goes on no longer.

    Raises:
        InputRefused: an error that the tracker's own library raised.
    """
    try:
        yield
    except Exception as error:
        if name == "none" or type(error).__module__.partition(".")[0] != name:
            raise
        told = " ".join(str(error).split())[:300]
        remedy = OFFLINE if name == "wandb" else "try --report-to none"
        raise InputRefused(f"report_to: {name} stopped: {told}; {remedy}") from error


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
