"""The rows of `benchmarks/trust.py` on training, and what they show with a guard removed."""

from pathlib import Path

import pytest
import torch

from hyperinterp.checkpoints import saving
from hyperinterp.training import resume
from hyperinterp.training.trainer import HyperfitTrainer

from . import trust_rows


def test_nan_stops_at_once_is_named_and_never_saved(tmp_path: Path) -> None:
    rows = trust_rows.nan_rows(tmp_path, trials=8, seed=1)
    assert [row for row in rows if not row["stopped"] or row["saved"]] == []
    assert [row for row in rows if not (row["names_the_step"] and row["names_the_place"])] == []


def test_control_without_the_look_at_gradients_the_row_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(HyperfitTrainer, "_checked_norm", lambda self, model: 0.0)
    monkeypatch.setattr(trust_rows, "NAN_KINDS", ("gradient",))
    monkeypatch.setattr(trust_rows, "METHODS", {"late-stage": {"max_grad_norm": 0.0}})
    rows = trust_rows.nan_rows(tmp_path, trials=1, seed=1)
    assert not rows[0]["names_the_place"]  # the look at the weights is what stops it then


def test_control_without_the_look_at_weights_a_bad_one_is_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trust_rows, "NAN_KINDS", ("weights at the end",))
    everything_is_fine = lambda tensor: torch.ones_like(tensor, dtype=torch.bool)  # noqa: E731
    monkeypatch.setattr(resume.torch, "isfinite", everything_is_fine)
    monkeypatch.setattr(saving, "check_finite", lambda *_: None)
    rows = trust_rows.nan_rows(tmp_path, trials=1, seed=1)
    assert rows[0]["saved"]


def test_the_same_seed_gives_the_same_weights(tmp_path: Path) -> None:
    for row in trust_rows.seed_rows(tmp_path):
        assert row["same"]
        assert row["other_seed_differs"]


def test_a_disk_that_is_really_full_keeps_the_last_point(tmp_path: Path) -> None:
    row = trust_rows.full_disk_row(tmp_path)
    assert row["said"] == ["OutOfResources", 3]
    assert row["point"] in (5, 6)
    assert not row["published"]
    assert row["same_after_resuming"]
