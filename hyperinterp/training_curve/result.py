"""The training curve of a run, read back from the log beside its checkpoint."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hyperinterp.checkpoints.files import LOG_NAME
from hyperinterp.drawing.result import Result

MAX_LOG_BYTES = 100_000_000


@dataclass(frozen=True)
class Epoch:
    """One whole epoch.

    Attributes:
        epoch: its number, from 1.
        step: optimiser steps done at its end.
        loss: token-weighted mean training loss over the epoch, nats, while the weights changed.
        heldout_loss: validation loss at its end, nats; None when it was not evaluated.
        entropy: mean next-token entropy there, nats.
        ttr: type-token ratio of a few greedy generations.
        rep_4: their repeated share of 4-grams.
    """

    epoch: int
    step: int
    loss: float
    heldout_loss: float | None = None
    entropy: float | None = None
    ttr: float | None = None
    rep_4: float | None = None


@dataclass(frozen=True)
class TrainingCurve(Result):
    """A run, epoch by epoch.

    Attributes:
        source: the log that was read.
        first_loss: loss of the first batch, before any update, nats; None when not logged.
        last_loss: loss of the last batch, nats.
        epochs: every whole epoch, in order.
        steps: optimiser steps logged.
        seconds: time spent in training.
        stop: the rule that ended the run; "" when it has not ended.
    """

    source: str
    first_loss: float | None
    last_loss: float | None
    epochs: tuple[Epoch, ...]
    steps: int
    seconds: float
    stop: str = ""


def read_curve(folder: str | Path) -> TrainingCurve | None:
    """Read the training curve of the run whose checkpoint a directory holds.

    Returns:
        None when there is no log, or none with a whole line of a step or epoch. Lines that are
        no JSON object, and figures that are no number, are passed over.
    """
    path = Path(folder) / LOG_NAME
    if not path.is_file() or path.stat().st_size > MAX_LOG_BYTES:
        return None
    events = [_parsed(line) for line in path.read_text("utf-8", "replace").splitlines()]
    steps = [item for item in events if item.get("event") == "step"]
    epochs = tuple(
        Epoch(
            epoch=int(item["epoch"]),
            step=int(item["step"]),
            loss=item["loss"],
            **{name: item[name] for name in ("heldout_loss", "entropy", "ttr", "rep_4")
               if name in item},
        )
        for item in events
        if item.get("event") == "epoch" and {"epoch", "step", "loss"} <= item.keys()
    )  # fmt: skip
    if not (steps or epochs):
        return None
    first = steps[0] if steps and steps[0].get("step") == 1 else {}
    last = [item for item in events if "seconds" in item]
    ends = [str(item["stop"]) for item in events if item.get("event") == "end" and "stop" in item]
    return TrainingCurve(
        source=str(path),
        first_loss=first.get("loss"),
        last_loss=steps[-1].get("loss") if steps else None,
        epochs=epochs,
        steps=max((int(item["step"]) for item in steps if "step" in item), default=0),
        seconds=last[-1]["seconds"] if last else 0.0,
        stop=ends[-1] if ends else "",
    )


def _parsed(line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    words = {name: found[name] for name in ("event", "stop") if isinstance(found.get(name), str)}
    numbers = {
        name: value
        for name, value in found.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    }
    return words | numbers
