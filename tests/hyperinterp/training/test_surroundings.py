"""What a run needs around it: what is missing is said before training, with a way out."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from hyperinterp import trackers
from hyperinterp.distributed import ALONE, Processes
from hyperinterp.errors import InputRefused
from hyperinterp.training import TrainConfig, run_directory, surroundings, train

from .factory import letters, tiny

RECIPE: dict = {"blocks": "last:1", "rank": 2, "batch_size": 4, "seq_len": 30, "epochs": 1}


def test_deterministic_algorithms_are_on_in_the_run_alone(tmp_path: Path) -> None:
    inside: list[bool] = []

    def look(_found: object) -> None:
        inside.append(torch.are_deterministic_algorithms_enabled())

    torch.set_deterministic_debug_mode("warn")
    try:
        for wanted in (False, True):
            config = TrainConfig(**RECIPE, deterministic=wanted)
            out = tmp_path / str(wanted)
            train(tiny("llama"), letters(5), out, config, on_progress=look)
            assert torch.is_deterministic_algorithms_warn_only_enabled()
    finally:
        torch.set_deterministic_debug_mode("default")
    config = TrainConfig(**RECIPE, deterministic=True)
    train(tiny("llama"), letters(5), tmp_path / "again", config, on_progress=look)
    assert all(inside)
    assert not torch.are_deterministic_algorithms_enabled()


def test_what_has_no_deterministic_algorithm_is_named(tmp_path: Path) -> None:
    def act(_found: object) -> None:
        torch.zeros(3).put_(torch.tensor([0, 0]), torch.ones(2))

    config = TrainConfig(**RECIPE, deterministic=True)
    with pytest.raises(InputRefused, match=r"found put_.*; leave deterministic out, or train on"):
        train(tiny("llama"), letters(5), tmp_path / "out", config, on_progress=act)
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.parametrize(
    ("device", "used", "before", "after"),
    [
        ("cuda", False, None, ":4096:8"),
        ("auto", False, None, ":4096:8"),
        ("cuda:1", True, ":16:8", ":16:8"),
        ("cpu", True, None, None),
    ],
)
def test_cublas_is_asked_for_repeatable_workspaces(
    monkeypatch: pytest.MonkeyPatch, device: str, used: bool, before: str | None, after: str | None
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: used)
    monkeypatch.setenv(surroundings.CUBLAS, before or "")
    if before is None:
        monkeypatch.delenv(surroundings.CUBLAS)
    surroundings.prepare_cublas(device)
    assert os.environ.get(surroundings.CUBLAS) == after


@pytest.mark.parametrize(("used", "before"), [(True, None), (False, ":0:0"), (True, ":0:0")])
def test_a_card_that_was_used_otherwise_is_refused(
    monkeypatch: pytest.MonkeyPatch, used: bool, before: str | None
) -> None:
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: used)
    monkeypatch.setenv(surroundings.CUBLAS, before or "")
    if before is None:
        monkeypatch.delenv(surroundings.CUBLAS)
    with pytest.raises(InputRefused, match=f"found {before or 'none'}; set it before Python"):
        surroundings.prepare_cublas("cuda")


def _refused(out: Path, name: str) -> str:
    with pytest.raises(InputRefused) as refused:
        train(tiny("llama"), letters(5), out, TrainConfig(**RECIPE, report_to=name))
    assert not out.exists()
    assert not run_directory(out).exists()
    return str(refused.value)


@pytest.mark.parametrize("name", sorted(trackers.TRACKERS))
def test_a_tracker_that_is_not_installed_names_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(surroundings, "get_available_reporting_integrations", lambda: ["mlflow"])
    told = _refused(tmp_path / "out", name)
    assert told.startswith("report_to: expected a tracker that is installed (none, mlflow)")
    assert told.endswith(f"; pip install {name}")
    assert _refused(tmp_path / "out", "tensorbord").endswith("; choose one of these")


class _Wandb:
    """Stands for the library: a login that is there, is not there, or is refused."""

    def __init__(self, login: bool | str) -> None:
        self._login = login

    def login(self, *, prompt: bool) -> bool:
        assert not prompt, "nobody is there to answer"
        if isinstance(self._login, str):
            raise ValueError(self._login)
        return self._login


@pytest.mark.parametrize(
    ("login", "told"), [(False, "found none"), ("key\nis odd", "found key is odd")]
)
def test_wandb_without_a_login_is_refused_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, login: bool | str, told: str
) -> None:
    monkeypatch.setattr(surroundings, "get_available_reporting_integrations", lambda: ["wandb"])
    monkeypatch.setitem(sys.modules, "wandb", _Wandb(login))
    monkeypatch.delenv("WANDB_MODE", raising=False)
    found = _refused(tmp_path / "out", "wandb")
    assert told in found
    assert "wandb login" in found
    assert "WANDB_MODE=offline" in found
    monkeypatch.setenv("WANDB_MODE", "offline")
    surroundings.check_surroundings(TrainConfig(**RECIPE, report_to="wandb"), ALONE)


def test_a_tracker_that_fails_on_the_way_is_one_line() -> None:
    fault = type("CommError", (RuntimeError,), {"__module__": "wandb.errors.errors"})
    told = "wandb stopped: no way there; run `wandb login`"
    with pytest.raises(InputRefused, match=told), trackers.tracker_faults("wandb"):
        raise fault("no way\nthere")
    with pytest.raises(RuntimeError, match="ours"), trackers.tracker_faults("wandb"):
        raise RuntimeError("ours")


def test_a_card_that_training_would_leave_is_refused(tmp_path, monkeypatch):
    told = "found cuda:3; set CUDA_VISIBLE_DEVICES=3 and --device cuda"
    with pytest.raises(InputRefused, match=told):
        train("smollm2", letters(4), tmp_path / "out", TrainConfig(**RECIPE), device="cuda:3")
    model = tiny("llama")
    monkeypatch.setattr(type(model), "device", torch.device("cuda:3"))
    with pytest.raises(InputRefused, match=told):
        train(model, letters(4), tmp_path / "out", TrainConfig(**RECIPE))
    with pytest.raises(InputRefused, match="found mps, where it has not been tried; use --device"):
        train("smollm2", letters(4), tmp_path / "out", TrainConfig(**RECIPE), device="mps")
    assert list(tmp_path.iterdir()) == []
    for device, processes in (("cuda:0", ALONE), ("cuda", ALONE), ("cuda:1", Processes(1, 2))):
        surroundings.check_card(device, processes)


def test_nothing_is_printed_on_stdout_in_the_offline_mode_of_wandb() -> None:
    """transformers greets there at the import of its Trainer; what was asked for may be JSON."""
    code = "import hyperinterp as hi\nfor name in hi.__all__: getattr(hi, name)"
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"WANDB_MODE": "offline"},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout == ""
    assert "WANDB" in done.stderr  # it was imported, and it did greet
