"""The result of a finished run."""

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from hyperinterp.checkpoints.files import LOG_NAME
from hyperinterp.errors import InputRefused

RESULT_NAME = "training.json"


@dataclass(frozen=True)
class TrainResult:
    """The result of a training run.

    Attributes:
        out: the checkpoint directory.
        method: `full`, `lora` or `late-stage`.
        blocks: indices of the blocks that were trained.
        epochs: whole epochs run.
        steps: optimiser steps run.
        loss: token-weighted mean loss of the last whole epoch, nats; None if none was whole.
        stop: `target loss`, `epochs`, `max steps` or `max seconds`.
        trainable: trained parameters.
        total: all parameters, an adapter's included.
        tokens: token ids seen, over all epochs.
        seconds: time spent in training (earlier parts of a resumed run included).
        tokens_per_second: tokens / seconds.
        prefix: where the frozen blocks' stream was kept: `device`, `memory`, `mapped` or
            `none`.
        control: checkpoint of least validation loss, or None.
        log: the training log.
        heldout_loss: validation loss of the final weights, on the held-out passages, in nats per
            predicted token; None when none were given.
        heldout_sha256: digest of those passages.
        notes: what the reader has to know of the model it started from.
    """

    out: Path
    method: str
    blocks: tuple[int, ...]
    epochs: int
    steps: int
    loss: float | None
    stop: str
    trainable: int
    total: int
    tokens: int
    seconds: float
    tokens_per_second: float
    prefix: str
    control: Path | None
    log: Path
    heldout_loss: float | None = None
    heldout_sha256: str | None = None
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values, paths relative to `out`."""
        found = {field.name: getattr(self, field.name) for field in fields(self)}
        found.update(out=".", log=LOG_NAME, control="control" if self.control else None)
        return found

    @classmethod
    def of_json(cls, out: Path, stored: dict[str, Any]) -> "TrainResult":
        """A result that `as_json` wrote, for the directory where it lies now."""
        control = out / stored["control"] if stored["control"] else None
        notes = tuple(stored.get("notes", ()))
        changed = {
            "out": out, "log": out / LOG_NAME, "control": control, "notes": notes,
            "blocks": tuple(stored["blocks"]),
        }  # fmt: skip
        return cls(**{**stored, **changed})

    @classmethod
    def read(cls, out: Path) -> "TrainResult":
        """The result of the finished run in a directory.

        Raises:
            InputRefused: there is none, or it is damaged.
        """
        path = out / RESULT_NAME
        try:
            return cls.of_json(out, json.loads(path.read_text(encoding="utf-8"))["result"])
        except FileNotFoundError as error:
            raise InputRefused(
                f"{out}: expected a finished run, found no {RESULT_NAME}; name the --out "
                "of one, or continue it with --resume"
            ) from error
        except (ValueError, KeyError, TypeError) as error:
            raise InputRefused(
                f"{path}: expected the result of a run, found {error}; train it anew with --force"
            ) from error
