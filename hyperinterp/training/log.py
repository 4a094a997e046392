"""The training log: one JSON object per line, cut back to the resume point on a resume."""

import json
import math
from pathlib import Path
from typing import Any

from hyperinterp.checkpoints.files import LOG_NAME


def _plain(value: Any) -> Any:
    """JSON without NaN: a figure that is no number is null."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


class TrainingLog:
    """Appends events to `training_log.jsonl`.

    Args:
        folder: where the file lies.
        keep_to_step: on a resume, lines of later steps are dropped; None starts anew.
        mute: write nothing, where another process keeps the log.
    """

    def __init__(
        self, folder: Path, keep_to_step: int | None = None, *, mute: bool = False
    ) -> None:
        self.path = folder / LOG_NAME
        self.mute = mute
        if mute:
            return
        kept: list[str] = []
        if keep_to_step is not None and self.path.is_file():
            kept = [line for line in self._whole_lines() if _step_of(line) <= keep_to_step]
        self.path.write_text("".join(kept), encoding="utf-8")

    def _whole_lines(self) -> list[str]:
        lines = self.path.read_text(encoding="utf-8").splitlines(keepends=True)
        return [line for line in lines if line.endswith("\n")]

    def write(self, event: str, **figures: Any) -> None:
        """Append one line with the event's name and figures."""
        if self.mute:
            return
        line = json.dumps({"event": event, **{k: _plain(v) for k, v in figures.items()}})
        with self.path.open("a", encoding="utf-8") as stream:
            stream.write(line + "\n")


def _step_of(line: str) -> int:
    try:
        return int(json.loads(line).get("step", 0))
    except (ValueError, AttributeError):
        return 1 << 62
