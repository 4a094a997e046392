"""What every part of `benchmarks.gpu` is given."""

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch

from benchmarks import record
from benchmarks.device import described
from hyperinterp.memory import keep_freed_memory
from hyperinterp.models import HookedModel, load
from hyperinterp.training.card import versions


@dataclass
class Job:
    """One part's task.

    Attributes:
        model: name of the real model.
        small: reduced sizes.
        seconds: how long the part may take, its start included.
        tell: adds figures to the part's results, at once.
        beside: writes a larger document next to the results; gives its name.
        device: the card, or the CPU where there is none.
    """

    model: str
    small: bool
    seconds: float
    tell: Callable[..., None]
    beside: Callable[[str, Any], str]
    device: torch.device = field(
        default_factory=lambda: torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    )
    began: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        keep_freed_memory()  # as the command does
        warnings.filterwarnings("ignore", message=".*(is_gradient_checkpointing|pin_memory).*")

    @property
    def left(self) -> float:
        """Seconds until the part's limit."""
        return self.seconds - (time.monotonic() - self.began)

    @cached_property
    def base(self) -> HookedModel:
        """The real model, on the device."""
        return load(self.model, device=str(self.device))

    def facts(self) -> dict[str, Any]:
        """Where the part runs, and with what."""
        return {
            "small": self.small,
            "model": self.model,
            "card": described(self.device),
            "machine": record.machine(torch.get_num_threads()),
            "versions": versions(),
        }
