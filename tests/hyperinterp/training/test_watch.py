"""Stop rules, the log, progress, evaluation and the checkpoints on the way."""

import json
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from transformers import TrainerCallback
from transformers.integrations import integration_utils

from hyperinterp.checkpoints import verify_directory
from hyperinterp.models import load
from hyperinterp.training import Progress, TrainConfig, surroundings, train

from .factory import letters, log_lines, saved_tiny, sha256, tiny

RECIPE: dict = {
    "method": "full", "batch_size": 4, "seq_len": 30, "epochs": 30, "lr": 1e-2, "target_loss": None,
}  # fmt: skip
LATE: dict = {"method": "late-stage", "blocks": "last:2", "rank": 4}


def _train(out: Path, **changes: object):
    heldout = changes.pop("heldout", None)
    progress = changes.pop("on_progress", None)
    config = TrainConfig(**{**RECIPE, **changes})
    return train(tiny("llama"), letters(14), out, config, heldout=heldout, on_progress=progress)


def test_the_mean_loss_of_a_whole_epoch_decides_weighted_by_tokens(tmp_path: Path) -> None:
    result = _train(tmp_path / "out", target_loss=2.0)
    assert result.stop == "target loss"
    epochs = log_lines(result.out, "epoch")
    assert [line["loss"] <= 2.0 for line in epochs] == [False] * (len(epochs) - 1) + [True]
    assert result.loss == epochs[-1]["loss"] <= 2.0
    assert result.epochs == len(epochs) < 30
    steps = [line["loss"] for line in log_lines(result.out, "step")]
    assert result.steps == len(steps) == 4 * len(epochs)
    early = next(n for n, loss in enumerate(steps) if loss <= 2.0) // 4
    assert early < result.epochs, "a single batch below the target must not end the run"


def test_the_epoch_loss_is_the_mean_over_tokens(tmp_path: Path) -> None:
    """With a vanishing learning rate the epoch's loss is that of the untouched model."""
    result = _train(tmp_path / "out", lr=1e-30, epochs=1)
    model, total, count = tiny("llama"), 0.0, 0
    for text in letters(14).texts:
        ids = torch.tensor([model.tokenizer(text)["input_ids"][:30]])
        logits = model.logits(ids)[0, :-1]
        total += float(torch.nn.functional.cross_entropy(logits, ids[0, 1:], reduction="sum"))
        count += ids.shape[1] - 1
    assert result.loss == pytest.approx(total / count, abs=1e-5)
    assert result.tokens == count + 14


def test_the_other_stop_rules(tmp_path: Path) -> None:
    steps = _train(tmp_path / "steps", max_steps=6)
    assert (steps.stop, steps.steps, steps.epochs) == ("max steps", 6, 1)
    epochs = _train(tmp_path / "epochs", epochs=2)
    assert (epochs.stop, epochs.steps, epochs.epochs) == ("epochs", 8, 2)
    seconds = _train(tmp_path / "seconds", max_seconds=1e-6)
    assert (seconds.stop, seconds.steps, seconds.loss) == ("max seconds", 1, None)


def test_every_step_and_epoch_is_a_line_of_the_log(tmp_path: Path) -> None:
    out = _train(tmp_path / "out", epochs=2, schedule="linear", warmup=2).out
    lines = [json.loads(line) for line in (out / "training_log.jsonl").read_text().splitlines()]
    assert [line["event"] for line in lines] == [
        "start", *["step"] * 4, "epoch", *["step"] * 4, "epoch", "end",
    ]  # fmt: skip
    step = lines[1]
    assert set(step) == {
        "event", "step", "epoch", "loss", "lr", "grad_norm", "seconds", "tokens_per_second",
    }  # fmt: skip
    assert step["step"] == 1
    assert step["epoch"] == 0.25
    assert step["grad_norm"] > 0
    rates = [line["lr"] for line in lines if line["event"] == "step"]
    assert max(rates) == pytest.approx(1e-2)
    assert rates[-1] < rates[3]


def test_progress_tells_where_a_run_is(tmp_path: Path) -> None:
    told: list[Progress] = []
    _train(tmp_path / "out", epochs=2, target_loss=0.01, **LATE, on_progress=told.append)
    assert [one.step for one in told if one.phase == "prefix"][-1] == 14
    training = [one for one in told if one.phase == "train"]
    assert [one.step for one in training] == [1, 2, 3, 4, 4, 5, 6, 7, 8, 8]
    assert [one.epoch for one in training] == [1] * 5 + [2] * 5
    assert all(one.total_steps == 8 and one.steps_per_epoch == 4 for one in training)
    assert all(one.target == 0.01 and one.tokens_per_second for one in training)
    left = [one.seconds_left for one in training]
    assert all(seconds is not None for seconds in left)
    assert left[-1] == 0.0


def test_nothing_is_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    _train(tmp_path / "out", epochs=2, heldout=letters(6, 3), eval_every=1)
    assert capfd.readouterr() == ("", "")


def test_evaluation_is_logged_and_leaves_the_weights_alone(tmp_path: Path) -> None:
    plain = _train(tmp_path / "plain", epochs=2)
    told: list[Progress] = []
    heldout = letters(9, 3, least=33, most=45)
    watched = _train(
        tmp_path / "out",
        epochs=2,
        heldout=heldout,
        eval_every=2,
        seq_len=30,
        on_progress=told.append,
    )
    assert sha256(watched.out) == sha256(plain.out)
    first, second = log_lines(watched.out, "epoch")
    assert "heldout_loss" not in first
    assert second["heldout_loss"] > 0
    assert 0 < second["entropy"] < 5.6
    assert [one.evaluation is not None for one in told].count(True) == 1


def test_evaluation_generates_from_prompts_that_are_long_enough(tmp_path: Path) -> None:
    heldout = letters(9, 3, least=33, most=45)
    config = TrainConfig(**{**RECIPE, "epochs": 1, "seq_len": 40, "eval_every": 1})
    out = train(tiny("llama"), letters(14), tmp_path / "out", config, heldout=heldout).out
    (line,) = log_lines(out, "epoch")
    assert 0 < line["ttr"] <= 1
    assert 0 <= line["rep_4"] < 1


def test_heldout_loss_with_and_without_the_cache_agrees(tmp_path: Path) -> None:
    found = [
        log_lines(
            _train(
                tmp_path / str(cache), epochs=2, heldout=letters(6, 3), eval_every=1, lr=2e-3,
                **LATE, prefix_cache=cache,
            ).out,
            "epoch",
        )
        for cache in (True, False)
    ]  # fmt: skip
    for cached, plain in zip(*found, strict=True):
        assert cached["heldout_loss"] == pytest.approx(plain["heldout_loss"], abs=1e-5)


def test_the_control_is_the_checkpoint_of_least_heldout_loss(tmp_path: Path) -> None:
    base, out = saved_tiny("llama", tmp_path), tmp_path / "out"
    config = TrainConfig(**{**RECIPE, "epochs": 9, "keep_control": True})
    result = train(base, letters(14), out, config, heldout=letters(8, 3), device="cpu")
    found = [line["heldout_loss"] for line in log_lines(out, "epoch")]
    best = found.index(min(found))
    assert 0 < best < 8, "the held-out loss must fall and rise for this test to say anything"
    assert result.control == out / "control"
    manifest = verify_directory(result.control)
    assert manifest is not None
    assert manifest.provenance["epoch"] == best + 1
    assert manifest.provenance["heldout_loss"] == found[best]
    shorter = TrainConfig(**{**RECIPE, "epochs": best + 1})
    same = train(base, letters(14), tmp_path / "same", shorter, device="cpu")
    assert sha256(result.control) == sha256(same.out)
    assert load(result.control, device="cpu").n_layers == 4


def test_checkpoints_on_the_way_are_named_by_loss_and_epoch(tmp_path: Path) -> None:
    base, out = saved_tiny("llama", tmp_path), tmp_path / "out"
    levels = (3.0, 2.0, 1.0)
    config = TrainConfig(**{**RECIPE, "target_loss": 1.5, "save_at": levels, "save_epochs": (2,)})
    train(base, letters(14), out, config, device="cpu")
    assert verify_directory(out) is not None
    names = sorted(path.name for path in (out / "checkpoints").iterdir())
    assert "epoch-2" in names
    losses = {line["epoch"]: line["loss"] for line in log_lines(out, "epoch")}
    reached: list[float] = []
    for name in names:
        manifest = verify_directory(out / "checkpoints" / name)
        assert manifest is not None
        facts = manifest.provenance
        assert facts["epoch_loss"] == losses[facts["epoch"]]
        if name.startswith("loss-"):
            reached += facts["levels"]
            assert all(
                losses[facts["epoch"]] <= at < losses[facts["epoch"] - 1] for at in facts["levels"]
            )
        assert load(out / "checkpoints" / name, device="cpu").n_layers == 4
    assert sorted(reached) == [2.0, 3.0]


def test_checkpoints_on_the_way_of_a_full_run_load_too(tmp_path: Path) -> None:
    base, out = saved_tiny("gpt2", tmp_path), tmp_path / "out"
    config = TrainConfig(
        method="full", lr=1e-3, epochs=2, save_epochs=(1,), batch_size=8, seq_len=20
    )
    train(base, letters(10), out, config, device="cpu")
    one, two = load(out / "checkpoints" / "epoch-1", device="cpu"), load(out, device="cpu")
    ids = torch.arange(8)[None]
    assert not torch.equal(one.logits(ids), two.logits(ids))


class InMemory(TrainerCallback):
    """A tracker as transformers knows them, which keeps what it is told."""

    told: ClassVar[list[dict]] = []

    def on_log(self, args, state, control, logs=None, **_given) -> None:
        self.told.append({"step": state.global_step, **logs})


def test_a_tracker_is_told_every_step_epoch_and_evaluation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(integration_utils.INTEGRATION_TO_CALLBACK, "memory", InMemory)
    monkeypatch.setattr(surroundings, "get_available_reporting_integrations", lambda: ["memory"])
    monkeypatch.setattr(InMemory, "told", [])
    out = tmp_path / "out"
    result = _train(out, epochs=3, eval_every=2, heldout=letters(6, 3), report_to="memory")
    steps = [item for item in InMemory.told if "loss" in item]
    assert [item["step"] for item in steps] == list(range(1, result.steps + 1))
    for item, line in zip(steps, log_lines(out, "step"), strict=True):
        assert item["loss"] == pytest.approx(line["loss"], rel=1e-4)
    epochs = [item for item in InMemory.told if "epoch_loss" in item]
    lines = log_lines(out, "epoch")
    assert [item["epoch_loss"] for item in epochs] == [line["loss"] for line in lines]
    assert [item.get("eval_heldout_loss") for item in epochs] == [
        line.get("heldout_loss") for line in lines
    ]
    assert epochs[1]["eval_heldout_loss"] is not None
    plain = _train(tmp_path / "plain", epochs=3)
    assert sha256(out) == sha256(plain.out), "being watched changes no weight"


def test_tensorboard_files_are_kept_in_the_output(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    out = tmp_path / "out"
    _train(out, epochs=2, report_to="tensorboard")
    found = EventAccumulator(str(next((out / "trackers").rglob("events.*")).parent)).Reload()
    losses = [event.value for event in found.Scalars("train/loss")]
    assert losses == pytest.approx([line["loss"] for line in log_lines(out, "step")], rel=1e-4)
    assert verify_directory(out) is not None
