from itertools import pairwise
from pathlib import Path

import pytest
import torch

from hyperinterp.errors import InputRefused
from hyperinterp.models import HookedModel
from hyperinterp.training import Progress, TrainConfig, run_directory, tracker, train
from hyperinterp.training.resume import newest_point

from . import trust_rows
from .factory import letters, log_lines, sha256, tiny

RECIPE: dict = {
    "blocks": "last:2", "rank": 4, "batch_size": 4, "seq_len": 30, "epochs": 4, "target_loss": None,
    "resume_every": 0.0, "lr": 5e-3,
}  # fmt: skip
METHODS = {
    "late-stage": {},
    "lora": {"method": "lora"},
    "full": {"method": "full", "lr": 1e-3},
    "weights": {"late_stage_weights": True, "lr": 1e-3},
    "plateau": {"lr": 0.3, "warmup": 2},
    "deterministic": {"deterministic": True},
    "accumulated": {"batch_size": 2, "grad_accum": 2, "schedule": "cosine", "warmup": 3},
}


class Cut(Exception):
    """Stands for a crash."""


def _cut_after(step: int):
    def progress(found: Progress) -> None:
        if found.phase == "train" and found.step > step:
            raise Cut

    return progress


def _cut(model: HookedModel | Path, out: Path, step: int, config: TrainConfig) -> None:
    with pytest.raises(Cut):
        train(model, letters(14), out, config, on_progress=_cut_after(step))
    assert not out.exists()
    point = newest_point(run_directory(out))
    assert point is not None
    assert point.step == step


# An epoch has four steps: step 4 lies between epochs, step 6 inside one.
@pytest.mark.parametrize(("name", "step"), [("late-stage", 4), *[(name, 6) for name in METHODS]])
def test_a_resumed_run_ends_bit_identical(name: str, step: int, tmp_path: Path) -> None:
    config = TrainConfig(**{**RECIPE, **METHODS[name]})
    whole = train(tiny("llama"), letters(14), tmp_path / "whole", config)
    _cut(tiny("llama"), tmp_path / "cut", step, config)
    resumed = train(tiny("llama"), letters(14), tmp_path / "cut", config, resume=True)
    assert sha256(resumed.out) == sha256(whole.out)
    assert (resumed.steps, resumed.epochs, resumed.tokens) == (16, 4, whole.tokens)
    assert resumed.loss == whole.loss
    for event in ("step", "epoch"):
        lines = [log_lines(result.out, event) for result in (whole, resumed)]
        assert [(x["step"], x["loss"]) for x in lines[0]] == [
            (x["step"], x["loss"]) for x in lines[1]
        ]
    assert not run_directory(resumed.out).exists()


def test_a_broken_resume_point_is_passed_over(tmp_path: Path) -> None:
    config, out = TrainConfig(**RECIPE), tmp_path / "cut"
    whole = train(tiny("llama"), letters(14), tmp_path / "whole", config)
    _cut(tiny("llama"), out, 6, config)
    newest = run_directory(out) / "step-6" / "trainable.safetensors"
    content = bytearray(newest.read_bytes())
    content[-3] ^= 1
    newest.write_bytes(content)
    point = newest_point(run_directory(out))
    assert point is not None
    assert point.step == 5
    again = train(tiny("llama"), letters(14), out, config, resume=True)
    assert sha256(again.out) == sha256(whole.out)


def test_resuming_where_nothing_is_starts_the_run(tmp_path: Path) -> None:
    config = TrainConfig(**RECIPE)
    result = train(tiny("llama"), letters(14), tmp_path / "out", config, resume=True)
    assert result.steps == 16


def test_a_finished_run_is_returned_as_it_is(tmp_path: Path) -> None:
    config, out = TrainConfig(**RECIPE), tmp_path / "out"
    first = train(tiny("llama"), letters(14), out, config)
    again = train(tiny("llama"), letters(14), out, config, resume=True, on_progress=_cut_after(0))
    assert again == first


@pytest.mark.parametrize("finished", [False, True])
def test_another_recipe_or_other_data_is_refused_with_the_fields(
    finished: bool, tmp_path: Path
) -> None:
    config, out = TrainConfig(**RECIPE), tmp_path / "out"
    if finished:
        train(tiny("llama"), letters(14), out, config)
    else:
        _cut(tiny("llama"), out, 6, config)
    other = TrainConfig(**{**RECIPE, "rank": 5, "seed": 3})
    with pytest.raises(InputRefused, match=r"found rank: 4 -> 5; seed: 0 -> 3; start anew"):
        train(tiny("llama"), letters(14), out, other, resume=True)
    with pytest.raises(InputRefused, match=r"data_sha256: .* -> .*; tokens_sha256: "):
        train(tiny("llama"), letters(14, 2), out, config, resume=True)
    unlike = HookedModel(tiny("llama").hf, tiny("llama").tokenizer, fingerprint="1" * 64)
    with pytest.raises(InputRefused, match="base_fingerprint: '000"):
        train(unlike, letters(14), out, config, resume=True)


def test_what_changes_no_weight_may_differ(tmp_path: Path) -> None:
    config, out = TrainConfig(**RECIPE), tmp_path / "out"
    _cut(tiny("llama"), out, 6, config)
    freer = TrainConfig(**{**RECIPE, "resume_every": 60.0, "prefix_budget_bytes": 10})
    assert train(tiny("llama"), letters(14), out, freer, resume=True).steps == 16


def test_an_unfinished_run_is_neither_overwritten_nor_ignored(tmp_path: Path) -> None:
    config, out = TrainConfig(**RECIPE), tmp_path / "out"
    _cut(tiny("llama"), out, 6, config)
    with pytest.raises(InputRefused, match="--resume continues it, --force discards it"):
        train(tiny("llama"), letters(14), out, config)
    assert newest_point(run_directory(out)) is not None
    assert train(tiny("llama"), letters(14), out, config, force=True).steps == 16


def test_a_forced_run_keeps_the_old_result_until_it_is_done(tmp_path: Path) -> None:
    config, out = TrainConfig(**RECIPE), tmp_path / "out"
    train(tiny("llama"), letters(14), out, config)
    old = sha256(out)
    other = TrainConfig(**{**RECIPE, "seed": 9})
    with pytest.raises(Cut):
        train(tiny("llama"), letters(14), out, other, force=True, on_progress=_cut_after(6))
    assert sha256(out) == old
    train(tiny("llama"), letters(14), out, other, resume=True)
    assert sha256(out) != old


def test_resume_points_hold_no_pickles_and_only_two_are_kept(tmp_path: Path) -> None:
    _cut(tiny("llama"), tmp_path / "out", 6, TrainConfig(**RECIPE))
    points = sorted(run_directory(tmp_path / "out").glob("step-*"))
    assert [path.name for path in points] == ["step-5", "step-6"]
    names = {path.suffix for path in points[0].iterdir()}
    assert names == {".safetensors", ".json"}


def _killed(tmp_path: Path, kills: int, in_saves: int, seed: int) -> None:
    row = trust_rows.kill_row(tmp_path, kills=kills, in_saves=in_saves, seed=seed)
    assert row["kills"] == kills
    assert row["kills_in_a_save"] >= in_saves
    assert row["resumed_from_a_point"] > 0, "a kill must have left something to resume from"
    assert row["finished_runs"] == row["same_sha256_as_undisturbed"] > 0


def test_killed_at_random_times_it_ends_bit_identical(tmp_path: Path) -> None:
    _killed(tmp_path, kills=4, in_saves=2, seed=1)


@pytest.mark.full
def test_killed_twenty_times_it_ends_bit_identical(tmp_path: Path) -> None:
    _killed(tmp_path, kills=20, in_saves=6, seed=2)


def test_the_callers_random_state_is_given_back(tmp_path: Path) -> None:
    torch.manual_seed(77)
    expected = torch.rand(3)
    torch.manual_seed(77)
    train(tiny("llama"), letters(14), tmp_path / "out", TrainConfig(**RECIPE))
    assert torch.equal(torch.rand(3), expected)


class Clock:
    """A clock that goes on when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


# A step takes 10 s here, an epoch of two steps 30.
@pytest.mark.parametrize(
    ("every", "cost", "most", "least"),
    [(30.0, 0.1, 10, 5), (30.0, 8.0, 2, 2), (30.0, 100.0, 1, 1), (0.0, 8.0, 23, 23)],
)
def test_resume_points_keep_below_a_twentieth_of_the_time(
    every: float,
    cost: float,
    most: int,
    least: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock, begun = Clock(), []

    def write(*_given: object) -> None:
        begun.append(clock.now)
        clock.now += cost

    def step(found: Progress) -> None:
        clock.now += 10.0 * (found.phase == "train")

    monkeypatch.setattr(tracker, "time", clock)
    monkeypatch.setattr(tracker, "write_point", write)
    quick = {"resume_every": every, "max_steps": 24, "epochs": 12, "seq_len": 4, "batch_size": 2}
    config = TrainConfig(**RECIPE | quick)
    train(tiny("llama"), letters(4), tmp_path / "out", config, on_progress=step)
    assert least <= len(begun) <= most
    if every:
        apart = [later - at for at, later in pairwise(begun)]
        assert all(cost <= 0.05 * gap and gap >= every for gap in apart)
