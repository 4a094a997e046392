"""The needs of a study, by shapes alone: held against what its cells really train and take."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hyperinterp.checkpoints import save_checkpoint
from hyperinterp.cli.app import app
from hyperinterp.errors import InputRefused
from hyperinterp.runs.shape import Shape
from hyperinterp.studies import StudyConfig
from hyperinterp.studies.cells import Cell, Places, Share
from hyperinterp.studies.needs import study_needs
from hyperinterp.studies.work import TrainingWork
from hyperinterp.training import TrainConfig
from hyperinterp.training.result import RESULT_NAME
from hyperinterp.training.targets import trainable

from ..training.factory import tiny

CONFIG = StudyConfig(
    methods=("lora", "full"), blocks=("last:1", "first:1"), seeds=(0,), shuffled=False, passages=8,
    train={"rank": 4, "seq_len": 30, "epochs": 6, "batch_size": 4},
)  # fmt: skip
SHAPE = Shape(8, 4, 100, 4, 4 * 10_000, 8000, 64, 32)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out, found = tmp_path_factory.mktemp("model") / "tiny", tiny("llama")
    save_checkpoint(found.hf, found.tokenizer, out, provenance={})
    (out / "model.safetensors").unlink()  # its configuration is enough
    return out


def test_every_cell_trains_what_is_said(model: Path, tmp_path: Path) -> None:
    found = study_needs(model, CONFIG, tmp_path / "none", device="cpu")
    base = tiny("llama")
    assert [cell.name for cell in found.cells] == [
        "lora-last1-seed0", "lora-first1-seed0", "full-last1-seed0", "full-first1-seed0",
        "lora-all-seed0", "full-all-seed0",
    ]  # fmt: skip
    for told, (method, blocks) in zip(
        found.cells,
        [(m, b) for m in ("lora", "full") for b in ("last:1", "first:1")]
        + [("lora", None), ("full", None)],
        strict=True,
    ):
        with trainable(base, CONFIG.recipe(method, blocks, 0)) as made:
            assert told.trainable == pytest.approx(made.trainable, rel=0.02), told.name
        assert told.passes == 8 * 30 * 6
        assert told.comparison_bytes > 0
        assert told.training_bytes > 0
    by_name = {cell.name: cell for cell in found.cells}
    assert by_name["full-all-seed0"].training_bytes > by_name["lora-all-seed0"].training_bytes
    assert found.peak_bytes == max(
        max(cell.training_bytes, cell.comparison_bytes) for cell in found.cells
    )
    assert found.seconds == sum(c.training_seconds + c.comparison_seconds for c in found.cells)


def test_what_is_done_is_not_counted_again(model: Path, tmp_path: Path) -> None:
    places = Places(tmp_path)
    first, second = Cell("lora", "last:1", 0), Cell("lora", "first:1", 0)
    for cell in (first, second):
        places.twin(cell).mkdir(parents=True)
        (places.twin(cell) / RESULT_NAME).write_text("{}")
    places.report(first).mkdir()
    (places.report(first) / "report.json").write_text("{}")
    done, trained = study_needs(model, CONFIG, tmp_path, device="cpu").cells[:2]
    assert (done.state, done.seconds) == ("done", 0.0)
    assert (trained.state, trained.seconds) == ("trained", trained.comparison_seconds)
    share = study_needs(model, CONFIG, tmp_path, share=Share(2, 3), device="cpu")
    assert [cell.number for cell in share.cells] == [2, 5]


def test_frozen_blocks_before_the_first_trained_one_cost_one_pass() -> None:
    recipe = TrainConfig(method="lora")
    late, early = (TrainingWork(SHAPE, recipe, first, 50) for first in (3, 0))
    body, readout = 8000, 100 * 8
    learnt = 1000
    assert early.operations(learnt, 0, 1) == learnt * (4 * (body + readout) + 6 * 50)
    each = 4 * (body / 4 + readout) + 6 * 50
    assert late.operations(learnt, 0, 9) == learnt * (9 * each + 2 * body * 3 / 4)
    slow = replace(late, recipe=replace(recipe, prefix_cache=False))
    assert slow.operations(learnt, 0, 9) == learnt * 9 * (each + 2 * body * 3 / 4)
    full = replace(early, recipe=TrainConfig(method="full"), trainable=10_000)
    assert full.operations(1, 0, 1) == 4 * (body + readout) + 2 * 10_000
    assert early.operations(0, 10, 2) == 2 * 10 * 2 * (body + readout)


def test_recomputed_blocks_take_less_memory_and_full_weights_more() -> None:
    recipe = TrainConfig(method="lora", batch_size=64)
    plain = TrainingWork(SHAPE, recipe, 0, 50)
    again = replace(plain, recipe=replace(recipe, gradient_checkpointing=True))
    assert again.memory(0, 0) < plain.memory(0, 0)
    assert again.operations(10, 0, 1) > plain.operations(10, 0, 1)
    full = replace(plain, recipe=replace(recipe, method="full"), trainable=10_000)
    assert full.memory(0, 0) - plain.memory(0, 0) == 4 * (10_000 + 3 * 10_000 - 4 * 50)
    late = replace(plain, first=3)
    assert late.memory(1000, 0) - late.memory(0, 0) == 1000 * 8 * 4


def test_the_command_tells_time_memory_and_a_total(model: Path, tmp_path: Path) -> None:
    given = [
        "study", str(model), "--dry-run", "--preset", "quick", "--blocks", "last:1,first:1",
        "--out", str(tmp_path / "study"), "--device", "cpu",
    ]  # fmt: skip
    told = CliRunner().invoke(app, given)
    assert told.exit_code == 0, told.output
    for words in ("training", "comparison", "memory", "left, at most about", "lora-last1-seed0"):
        assert words in told.output
    document = json.loads(CliRunner().invoke(app, [*given, "--json"]).output)
    assert document["cells"][0]["name"] == "lora-last1-seed0"
    assert document["seconds"] > 0
    assert document["peak_bytes"] > 0
    assert not (tmp_path / "study").exists()


def test_an_adapter_is_refused(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text(
        json.dumps({"peft_type": "LORA", "base_model_name_or_path": "owner/base"})
    )
    (tmp_path / "adapter_model.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0{}      ")
    with pytest.raises(InputRefused, match="expected a whole model to plan with, found an adapter"):
        study_needs(tmp_path, CONFIG, tmp_path / "out")
