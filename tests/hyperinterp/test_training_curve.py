"""The training log read back: whole lines and real numbers only."""

import json
from pathlib import Path

from hyperinterp.checkpoints.files import LOG_NAME
from hyperinterp.training_curve.result import Epoch, read_curve


def _log(folder: Path, lines: list[object]) -> Path:
    text = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
    (folder / LOG_NAME).write_text(text, encoding="utf-8")
    return folder


def test_steps_epochs_and_the_end_are_read(tmp_path: Path) -> None:
    lines = [
        {"event": "start", "step": 0},
        {"event": "step", "step": 1, "loss": 4.5, "seconds": 1.0},
        {"event": "step", "step": 2, "loss": 3.5, "seconds": 2.0},
        {"event": "epoch", "step": 2, "epoch": 1, "loss": 4.0, "seconds": 2.0, "ttr": 0.4,
         "heldout_loss": 4.4},
        {"event": "end", "step": 2, "stop": "epochs"},
    ]  # fmt: skip
    found = read_curve(_log(tmp_path, lines))
    assert found is not None
    assert (found.first_loss, found.last_loss, found.steps, found.seconds) == (4.5, 3.5, 2, 2.0)
    assert found.epochs == (Epoch(1, 2, 4.0, heldout_loss=4.4, ttr=0.4),)
    assert found.stop == "epochs"


def test_broken_lines_and_missing_figures_are_passed_over(tmp_path: Path) -> None:
    lines = [
        "not json", "[1, 2]", '{"event": "step", "step": 7, "loss": NaN}',
        {"event": "epoch", "step": 8, "epoch": 1, "loss": None},
        {"event": "epoch", "step": 8, "epoch": 2, "loss": 2.0, "entropy": "high"},
        '{"event": "epoch", "step"',
    ]  # fmt: skip
    found = read_curve(_log(tmp_path, lines))
    assert found is not None
    assert found.epochs == (Epoch(2, 8, 2.0),)
    assert (found.first_loss, found.last_loss, found.stop) == (None, None, "")


def test_no_log_is_no_curve(tmp_path: Path) -> None:
    assert read_curve(tmp_path) is None
    assert read_curve("smollm2") is None
    assert read_curve(_log(tmp_path, [{"event": "start"}])) is None
