"""The learning rate of a run that stops by its loss: constant, halved where the loss wanders."""

import math
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

PATIENCE = 3
"""Epochs without a new least loss before the rate is halved."""
LEAST_FALL = 0.01
"""A loss counts as a new least one when it lies this share below the one before."""
FACTOR = 0.5


class Plateau(LambdaLR):
    """Linear warm-up, then a constant rate; `see` halves it where epochs stop getting better.

    torch's `ReduceLROnPlateau` does the same without a warm-up. Where the loss keeps falling this
    is the constant schedule, to the bit.

    Args:
        optimizer: whose rates it sets.
        warmup: steps of the warm-up.

    Attributes:
        least: the least mean loss of an epoch so far.
        since: epochs since then.
    """

    def __init__(self, optimizer: Optimizer, warmup: int) -> None:
        self.least = math.inf
        self.since = 0
        super().__init__(optimizer, lambda step: min(1.0, step / warmup) if warmup else 1.0)

    def see(self, loss: float) -> None:
        """Take in an epoch's mean loss; from the next step on the rate is what follows."""
        if loss < (1 - LEAST_FALL) * self.least:
            self.least, self.since = loss, 0
            return
        self.since += 1
        if self.since < PATIENCE:
            return
        self.since = 0
        self.base_lrs = [FACTOR * rate for rate in self.base_lrs]
        groups: list[dict[str, Any]] = self.optimizer.param_groups
        for group in groups:
            group["lr"] *= FACTOR
        self._last_lr = [group["lr"] for group in groups]
