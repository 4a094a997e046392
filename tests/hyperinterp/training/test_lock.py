"""Two processes, one output: the second is refused, and a killed one leaves no lock behind."""

import ast
import os
from pathlib import Path

import pytest

from hyperinterp.errors import InputRefused
from hyperinterp.training import TrainConfig, lock, run_directory, train
from hyperinterp.training.lock import LOCK_FILES, RunLock, refuse_locked
from tests.cli_rows import meanwhile

from .factory import letters, sha256, tiny

RECIPE: dict = {
    "blocks": "last:2", "rank": 4, "batch_size": 4, "seq_len": 30, "epochs": 3, "target_loss": None,
    "resume_every": 0.0,
}  # fmt: skip
ROOT = Path(__file__).resolve().parents[3]
HOLDER = """
import os, sys, time
from pathlib import Path
from hyperinterp.training.lock import RunLock
lock = RunLock(Path(sys.argv[1]))
lock.take()
Path(sys.argv[2]).write_text(str(os.getpid()))
time.sleep(120)
"""
"""Holds the lock of a run directory until it is killed."""


def test_a_second_process_is_refused_and_a_killed_one_releases(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with meanwhile(HOLDER, tmp_path, str(run_directory(out))) as holder:
        for options in ({}, {"resume": True}, {"force": True}):
            with pytest.raises(InputRefused) as refused:
                train(tiny("llama"), letters(9), out, TrainConfig(**RECIPE), **options)
            told = str(refused.value)
            assert f"expected no other run, found process {holder} training there" in told
            assert "\n" not in told
        assert not out.exists()
        assert {path.name for path in run_directory(out).iterdir()} == LOCK_FILES
    result = train(tiny("llama"), letters(9), out, TrainConfig(**RECIPE))
    other = train(tiny("llama"), letters(9), tmp_path / "other", TrainConfig(**RECIPE))
    assert sha256(result.out) == sha256(other.out)
    assert not run_directory(out).exists()


TRAINING = """
import os, sys, time
from pathlib import Path
from hyperinterp.training import TrainConfig, train
from tests.hyperinterp.training.factory import letters, tiny
out, mark = map(Path, sys.argv[1:])
def progress(told):
    if told.phase == "train":
        mark.write_text(str(os.getpid()))
        time.sleep(0.2)
config = TrainConfig(blocks="last:2", rank=4, batch_size=4, seq_len=30, epochs=99, target_loss=None)
train(tiny("llama"), letters(9), out, config, on_progress=progress)
"""


def test_a_training_in_another_process_keeps_this_one_out(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with meanwhile(TRAINING, tmp_path, str(out)) as other:
        there = pytest.raises(InputRefused, match=f"found process {other} training there")
        with there:
            train(tiny("llama"), letters(9), out, TrainConfig(**RECIPE), resume=True)
    with pytest.raises(InputRefused, match="--resume continues it"):
        train(tiny("llama"), letters(9), out, TrainConfig(**RECIPE))
    assert train(tiny("llama"), letters(9), out, TrainConfig(**RECIPE), force=True).epochs == 3


def test_a_lock_can_be_taken_again_after_its_release(tmp_path: Path) -> None:
    with RunLock(tmp_path / "run") as first:
        first.take()
        with pytest.raises(InputRefused, match="training there"):
            RunLock(tmp_path / "run").take()
        with pytest.raises(InputRefused, match=f"found process {os.getpid()}"):
            refuse_locked(tmp_path / "run")
    refuse_locked(tmp_path / "run")
    RunLock(tmp_path / "run").take()


def test_locks_need_no_module_of_one_system() -> None:
    """Every lock is the library's, which knows more systems than Unix."""
    for path in sorted((ROOT / "hyperinterp").rglob("*.py")):
        names = {node.names[0].name for node in ast.walk(ast.parse(path.read_text()))
                 if isinstance(node, ast.Import)}  # fmt: skip
        assert "fcntl" not in names, path


def test_a_lock_whose_holder_left_no_name_is_refused_all_the_same(tmp_path: Path) -> None:
    with RunLock(tmp_path / "run") as first:
        first.take()
        (tmp_path / "run" / lock.HOLDER_NAME).unlink()
        with pytest.raises(InputRefused, match="found another process training there"):
            refuse_locked(tmp_path / "run")
