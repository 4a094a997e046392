"""A grid of runs: every cell is the run it would be alone, done ones are kept, one table."""

import csv
import json
from pathlib import Path

import pytest
import torch

from hyperinterp.errors import CorruptFile, InputRefused
from hyperinterp.models import load
from hyperinterp.training import TrainConfig, plan, run_directory, sweep, train
from hyperinterp.training.sweep import Sweep, SweepCell
from tests.cli_rows import run_jobs

from .factory import letters, saved_tiny, sha256, tiny

CONFIG = TrainConfig(rank=4, batch_size=4, seq_len=30, epochs=2, target_loss=None)
ROOT = Path(__file__).resolve().parents[3]


def _sweep(
    out: Path,
    blocks: tuple[str, ...] = ("last:1", "last:2"),
    seeds: tuple[int, ...] = (0, 1),
    **more,
):
    given = {"heldout": letters(4, 9), **more}
    return sweep(tiny("llama"), letters(6), out, CONFIG, blocks=blocks, seeds=seeds, **given)


def _table(out: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((out / "sweep.csv").read_text().splitlines()))


def test_the_cells_are_the_runs_they_would_be_alone(tmp_path: Path) -> None:
    base = saved_tiny("llama", tmp_path)
    found = sweep(
        base, letters(6), tmp_path / "out", CONFIG, blocks=("last:1", "last:2"), seeds=(1,),
        heldout=letters(4, 9), device="cpu",
    )  # fmt: skip
    assert (
        [cell.name for cell in found.cells] == ["last1-seed1", "last2-seed1"] == list(found.planned)
    )
    for cell in found.cells:
        config = plan(CONFIG, ["last:1", "last:2"], [cell.seed])[cell.name]
        alone = train(base, letters(6), tmp_path / "alone", config, device="cpu", force=True)
        assert sha256(found.out / cell.name) == sha256(alone.out)
        assert (cell.trainable, cell.train_loss) == (alone.trainable, alone.loss)
        assert cell.share_of_blocks == int(cell.name[4]) / 4
        assert cell.blocks == {"last1-seed1": "3", "last2-seed1": "2-3"}[cell.name]
        model, total, count = load(found.out / cell.name, device="cpu"), 0.0, 0
        for text in letters(4, 9).texts:
            ids = torch.tensor([model.tokenizer(text)["input_ids"][:30]])
            logits = model.logits(ids)[0, :-1]
            total += float(torch.nn.functional.cross_entropy(logits, ids[0, 1:], reduction="sum"))
            count += ids.shape[1] - 1
        assert cell.heldout_loss == pytest.approx(total / count, abs=1e-4)
    document = json.loads((found.out / "sweep.json").read_text())
    rows = _table(found.out)
    assert [row["name"] for row in rows] == [item["name"] for item in document["cells"]]
    assert float(rows[0]["heldout_loss"]) == document["cells"][0]["heldout_loss"]
    frame = found.to_frame()
    assert list(frame.columns) == list(rows[0])
    assert list(frame["heldout_loss"]) == [cell.heldout_loss for cell in found.cells]


def test_a_sweep_shows_itself_and_what_is_left() -> None:
    cell = SweepCell("last1-seed0", "3", 0.25, 0, 640, 0.0489, None, 2, 4, 1.5, "<epochs>")
    shown = Sweep(Path("out"), ("last1-seed0", "last2-seed0"), (cell,))._repr_html_()
    assert all(text in shown for text in ("last1-seed0", "0.0489", "1 of 2 runs", "&lt;epochs&gt;"))
    assert "not done" not in Sweep(Path("out"), ("last1-seed0",), (cell,))._repr_html_()


def test_what_is_done_is_kept_and_what_is_interrupted_goes_on(tmp_path: Path) -> None:
    out = tmp_path / "out"
    stop = {"last2-seed0": 2}

    def interrupt(name: str, progress) -> None:
        if progress.phase == "train" and progress.step == stop.get(name):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _sweep(out, seeds=(0,), on_progress=interrupt)
    assert json.loads((out / "sweep.json").read_text())["planned"] == ["last1-seed0", "last2-seed0"]
    assert [row["name"] for row in _table(out)] == ["last1-seed0"]
    assert run_directory(out / "last2-seed0").is_dir()
    before = (out / "last1-seed0" / "training.json").stat().st_mtime_ns
    told: list[str] = []
    found = _sweep(out, on_progress=lambda name, _progress: told.append(name))
    assert set(told) == {"last1-seed1", "last2-seed0", "last2-seed1"}
    assert (out / "last1-seed0" / "training.json").stat().st_mtime_ns == before
    assert [cell.name for cell in found.cells] == [
        "last1-seed0",
        "last1-seed1",
        "last2-seed0",
        "last2-seed1",
    ]
    weights = out / "last1-seed0" / "adapter_model.safetensors"
    damaged = bytearray(weights.read_bytes())
    damaged[-1] ^= 1
    weights.write_bytes(damaged)
    with pytest.raises(CorruptFile):
        _sweep(out)


def test_a_done_cell_of_another_job_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "out"
    _sweep(out, ("last:1",), (0,))
    with pytest.raises(InputRefused, match="same recipe and data to resume"):
        sweep(
            tiny("llama"),
            letters(7),
            out,
            CONFIG,
            blocks=("last:1",),
            seeds=(0,),
            heldout=letters(4, 9),
        )
    with pytest.raises(InputRefused, match="same held-out passages"):
        _sweep(out, ("last:1",), (0,), heldout=letters(5, 8))


def test_bad_sweeps_are_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(InputRefused, match="expected a sweep or an empty directory"):
        _sweep(tmp_path)
    out = tmp_path / "out"
    with pytest.raises(InputRefused, match="blocks: expected at most the model's 4 blocks"):
        _sweep(out, ("last:1", "last:5"))
    with pytest.raises(InputRefused, match=r"found 'last'; write last:5"):
        plan(TrainConfig(method="lora"), ("last",), (0,))
    assert not out.exists()


SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tests_factory import letters, tiny
from hyperinterp.training import TrainConfig, sweep
config = TrainConfig(rank=4, batch_size=4, seq_len=30, epochs=2, target_loss=None)
trained = []
sweep(tiny("llama"), letters(6), sys.argv[2], config, blocks=("last:1", "last:2"), seeds=(0, 1),
      heldout=letters(4, 9), on_progress=lambda name, _: trained.append(name))
print(*dict.fromkeys(trained))
"""


def test_processes_of_a_launcher_share_the_cells(tmp_path: Path) -> None:
    factory = Path(__file__).with_name("factory.py")
    (tmp_path / "tests_factory.py").write_bytes(factory.read_bytes())
    (tmp_path / "script.py").write_text(SCRIPT)
    given = [str(tmp_path), str(tmp_path / "out")]
    (done,) = run_jobs(
        [{"script": str(tmp_path / "script.py"), "argv": given, "processes": 2}], tmp_path
    )
    assert done["code"] == 0, done["stderr"]
    assert done["stdout"].split("\n") == ["last1-seed0 last2-seed0", "last1-seed1 last2-seed1", ""]
    document = json.loads((tmp_path / "out" / "sweep.json").read_text())
    assert [cell["name"] for cell in document["cells"]] == document["planned"]
    one = _sweep(tmp_path / "one")
    for name in one.planned:
        assert sha256(one.out / name) == sha256(tmp_path / "out" / name)


def test_a_place_outside_the_world_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "2")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InputRefused, match="RANK and WORLD_SIZE"):
        _sweep(tmp_path / "out")
