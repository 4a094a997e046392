import errno
import os
import signal
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from hyperinterp.errors import InputRefused, NumericalFault, OutOfResources
from hyperinterp.models import HookedModel
from hyperinterp.text import Passage, Passages
from hyperinterp.training import Progress, TrainConfig, resume, run_directory, starting, train
from hyperinterp.training.loss import ReadoutLoss
from hyperinterp.training.resume import newest_point

from .factory import byte_tokenizer, letters, log_lines, sha256, tiny

RECIPE: dict = {
    "blocks": "last:2", "rank": 4, "batch_size": 4, "seq_len": 30, "epochs": 4, "target_loss": None,
    "resume_every": 0.0,
}  # fmt: skip


def _poisoned(monkeypatch: pytest.MonkeyPatch, at: int, value: float) -> None:
    """The loss of the `at`-th step becomes NaN or infinite, as a bad kernel would make it."""
    honest, calls = ReadoutLoss.__call__, [0]

    def call(self: ReadoutLoss, hidden: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        calls[0] += 1
        found = honest(self, hidden, targets)
        return found * value if calls[0] == at else found

    monkeypatch.setattr(ReadoutLoss, "__call__", call)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("method", ["late-stage", "full"])
def test_a_loss_that_is_no_number_stops_at_once_and_saves_nothing(
    method: str, value: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _poisoned(monkeypatch, 7, value)
    out = tmp_path / "out"
    with pytest.raises(NumericalFault, match=r"training: loss: .* found (nan|inf) at step 7"):
        train(tiny("llama"), letters(14), out, TrainConfig(**{**RECIPE, "method": method}))
    assert not out.exists()
    point = newest_point(run_directory(out))
    assert point is not None
    assert point.step == 6
    assert [line["step"] for line in log_lines(run_directory(out), "step")] == [1, 2, 3, 4, 5, 6]


def test_a_gradient_that_is_no_number_is_named(tmp_path: Path) -> None:
    model, seen = tiny("llama"), [0]

    def spoil(_module: object, _given: object, output: torch.Tensor) -> None:
        if output.requires_grad:
            seen[0] += 1
            if seen[0] == 3:
                output.register_hook(lambda grad: grad * float("nan"))

    model.blocks[3].mlp.down_proj.register_forward_hook(spoil)
    with pytest.raises(
        NumericalFault,
        match=r"gradient of model\.layers\.\S*lora_\S*: .* NaN or infinity at step 3",
    ):
        train(model, letters(14), tmp_path / "out", TrainConfig(**RECIPE))
    assert not (tmp_path / "out").exists()


def test_resuming_after_a_fault_gives_the_undisturbed_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = TrainConfig(**RECIPE)
    whole = train(tiny("llama"), letters(14), tmp_path / "whole", config)
    with monkeypatch.context() as patched:
        _poisoned(patched, 7, float("nan"))
        with pytest.raises(NumericalFault):
            train(tiny("llama"), letters(14), tmp_path / "out", config)
    again = train(tiny("llama"), letters(14), tmp_path / "out", config, resume=True)
    assert sha256(again.out) == sha256(whole.out)


def test_the_same_seed_gives_the_same_digest_and_another_seed_another(tmp_path: Path) -> None:
    found = []
    for name, seed in [("a", 0), ("b", 0), ("c", 1)]:
        torch.rand(len(found))  # the state of the global generators must not matter
        np.random.seed(len(found))  # noqa: NPY002
        config = TrainConfig(**{**RECIPE, "seed": seed})
        found.append(sha256(train(tiny("llama"), letters(14), tmp_path / name, config).out))
    assert found[0] == found[1] != found[2]


def test_an_existing_directory_is_refused_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(starting, "load", lambda *_a, **_k: pytest.fail("no model may be loaded"))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("keep")
    with pytest.raises(InputRefused, match="already exists; name another --out"):
        train("smollm2", letters(4), tmp_path / "out")
    with pytest.raises(InputRefused, match="holds files that hyperinterp did not write"):
        train("smollm2", letters(4), tmp_path / "out", force=True)
    (tmp_path / "new.run").mkdir()
    (tmp_path / "new.run" / "mine.txt").write_text("keep")
    with pytest.raises(InputRefused, match="expected an unfinished run, found something else"):
        train("smollm2", letters(4), tmp_path / "new", force=True)
    (tmp_path / "file").write_text("keep")
    with pytest.raises(InputRefused, match="is not a plain directory"):
        train("smollm2", letters(4), tmp_path / "file", force=True)
    assert (tmp_path / "out" / "mine.txt").read_text() == "keep"
    assert (tmp_path / "new.run" / "mine.txt").read_text() == "keep"


def test_force_keeps_a_model_that_somebody_else_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny("llama").hf.save_pretrained(tmp_path / "theirs")
    there = {path.name: path.read_bytes() for path in (tmp_path / "theirs").iterdir()}
    assert {"config.json", "model.safetensors"} <= set(there)
    monkeypatch.setattr(starting, "load", lambda *_a, **_k: pytest.fail("no model may be loaded"))
    with pytest.raises(InputRefused, match="did not write; --force will not delete them"):
        train("smollm2", letters(4), tmp_path / "theirs", force=True)
    left = {path.name: path.read_bytes() for path in (tmp_path / "theirs").iterdir()}
    assert left == there


def test_several_processes_and_unknown_trackers_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputRefused, match=r"report_to: .* found 'nobody'"):
        train(tiny("llama"), letters(4), tmp_path / "out", TrainConfig(report_to="nobody"))
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InputRefused, match="found 1 and WORLD_SIZE=2"):
        train(tiny("llama"), letters(4), tmp_path / "out")
    assert not any(tmp_path.iterdir())


def test_what_needs_heldout_text_says_so(tmp_path: Path) -> None:
    for wish in ({"keep_control": True}, {"eval_every": 1}):
        with pytest.raises(InputRefused, match="expected held-out passages"):
            train(tiny("llama"), letters(4), tmp_path / "out", TrainConfig(**wish))
    assert not any(tmp_path.iterdir())


def test_a_refused_text_or_layer_leaves_nothing(tmp_path: Path) -> None:
    short = Passages((Passage("a", "x"),), "here")
    with pytest.raises(InputRefused, match="here: expected passages of at least 2 tokens"):
        train(tiny("llama"), short, tmp_path / "out", TrainConfig(blocks="last:1"))
    with pytest.raises(InputRefused, match="blocks: expected at most"):
        train(tiny("llama"), letters(4), tmp_path / "out", TrainConfig(blocks="last:9"))
    assert not any(tmp_path.iterdir())


def test_a_model_in_half_precision_or_without_tokenizer_is_refused(tmp_path: Path) -> None:
    half = HookedModel(tiny("llama").hf.bfloat16(), byte_tokenizer())
    with pytest.raises(InputRefused, match="expected a model in float32"):
        train(half, letters(4), tmp_path / "out")
    with pytest.raises(InputRefused, match="expected a model with a tokenizer"):
        train(
            HookedModel(tiny("llama").hf),
            letters(4),
            tmp_path / "out",
            TrainConfig(blocks="last:1"),
        )


@pytest.mark.parametrize(
    ("every", "hint"), [(0.0, "resume continues it"), (60.0, "no resume point")]
)
def test_ctrl_c_leaves_the_last_resume_point_and_a_hint(
    every: float, hint: str, tmp_path: Path
) -> None:
    def interrupt(found: Progress) -> None:
        if found.step == 6 and found.phase == "train":
            signal.raise_signal(signal.SIGINT)

    out = tmp_path / "out"
    config = TrainConfig(**{**RECIPE, "resume_every": every})
    assert threading.current_thread() is threading.main_thread()
    with pytest.raises(KeyboardInterrupt, match=hint):
        train(tiny("llama"), letters(14), out, config, on_progress=interrupt)
    assert not out.exists()
    assert (newest_point(run_directory(out)) is not None) == (every == 0.0)


def test_a_full_disk_keeps_the_earlier_resume_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest, calls = resume.save_file, [0]

    def save(*args: object, **kwargs: object) -> None:
        calls[0] += 1
        if calls[0] > 8:  # two files per point: the fifth point fails
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        honest(*args, **kwargs)

    out, config = tmp_path / "out", TrainConfig(**RECIPE)
    whole = train(tiny("llama"), letters(14), tmp_path / "whole", config)
    with monkeypatch.context() as patched:
        patched.setattr(resume, "save_file", save)
        with pytest.raises(OutOfResources, match="the disk is full"):
            train(tiny("llama"), letters(14), out, config)
    point = newest_point(run_directory(out))
    assert point is not None
    assert point.step == 4
    assert not list(run_directory(out).glob(".*.partial"))
    again = train(tiny("llama"), letters(14), out, config, resume=True)
    assert sha256(again.out) == sha256(whole.out)


def test_memory_that_runs_out_comes_with_advice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 9 bytes")

    monkeypatch.setattr(ReadoutLoss, "__call__", refuse)
    with pytest.raises(OutOfResources, match="memory ran out; try a smaller batch_size"):
        train(tiny("llama"), letters(4), tmp_path / "out", TrainConfig(**RECIPE))
