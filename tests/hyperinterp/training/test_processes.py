"""Several real processes train one model: against one process, killed, refused."""

import json
from pathlib import Path

import pytest
import torch
from peft import PeftModel

from hyperinterp.checkpoints import verify_directory
from hyperinterp.distributed import Processes
from hyperinterp.errors import InputRefused
from hyperinterp.models import load
from hyperinterp.training import TrainConfig, train
from hyperinterp.training.data import EpochSampler, ShareSampler
from hyperinterp.training.result import TrainResult
from tests.cli_rows import run_jobs

from .factory import letters, log_lines, losses, saved_tiny, sha256, tiny, weights
from .process_jobs import PASSAGES

SCRIPT = str(Path(__file__).with_name("process_jobs.py"))
RECIPE = {
    "epochs": 3, "target_loss": None, "blocks": "last:2", "lr": 1e-3, "resume_every": 1000.0,
    "keep_control": True,
}  # fmt: skip
CASES = {
    "llama-late": ("llama", {"method": "late-stage"}),
    "llama-full": ("llama", {"method": "full"}),
    "gpt2-lora": ("gpt2", {"method": "lora", "grad_accum": 2}),
    "gemma2-weights": ("gemma2", {"late_stage_weights": True, "gradient_checkpointing": True}),
}
"""Tied and untied readouts, adapters and weights, accumulation and recomputation."""


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("rows", [1, 7, 12, 13])
@pytest.mark.parametrize("batch_size", [1, 4])
def test_shares_of_a_batch_make_the_batch(size, rows, batch_size):
    order = EpochSampler(rows, 5)
    shares = [list(ShareSampler(order, batch_size, Processes(r, size))) for r in range(size)]
    alone = list(ShareSampler(order, batch_size * size, Processes()))
    assert {len(share) for share in shares} == {len(alone)}
    for batch, *parts in zip(alone, *shares, strict=True):
        assert sorted(row for part in parts for row in part) == sorted(batch)
        assert max(map(len, parts)) <= batch_size
    assert sorted(row for batch in alone for row in batch) == list(range(rows))


@pytest.fixture(scope="module")
def bases(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bases")
    return {f: saved_tiny(f, folder) for f in {family for family, _ in CASES.values()}}


def job(bases, out: Path, case: str, batch_size: int, **more) -> dict:
    family, fields = CASES[case]
    config = {**RECIPE, **fields, "batch_size": batch_size}
    return {"model": str(bases[family]), "out": str(out / case), "config": config, **more}


def by(processes: int, jobs: list[dict], folder: Path) -> dict:
    """What so many processes of one launch say that train one job after the other."""
    given = {"script": SCRIPT, "argv": [json.dumps(jobs)], "processes": processes}
    (done,) = run_jobs([given], folder)
    return done


@pytest.fixture(scope="module")
def alone(bases, tmp_path_factory):
    out = tmp_path_factory.mktemp("alone")
    done = by(1, [job(bases, out, case, 4) for case in CASES], out)
    assert done["code"] == 0, done["stderr"][-3000:]
    return out


@pytest.fixture(scope="module", params=["ddp", "fsdp"])
def both(request, bases, tmp_path_factory):
    out = tmp_path_factory.mktemp(request.param)
    sharded = request.param == "fsdp"
    done = by(2, [job(bases, out, case, 2, fsdp=sharded) for case in CASES], out)
    assert done["code"] == 0, done["stderr"][-3000:]
    return out


@pytest.mark.parametrize("case", list(CASES))
def test_two_processes_make_the_steps_of_one_with_twice_the_batch(alone, both, case):
    one, two = alone / case, both / case
    assert len(losses(one)) == len(losses(two)) > 3
    assert max(abs(a - b) for a, b in zip(losses(one), losses(two), strict=True)) < 2e-4
    norms = [[line["grad_norm"] for line in log_lines(out, "step")] for out in (one, two)]
    assert norms[1] == pytest.approx(norms[0], rel=2e-3)
    before, after = weights(one), weights(two)
    assert before.keys() == after.keys()
    assert max(float((before[k] - after[k]).abs().max()) for k in before) < 2e-3
    found, expected = TrainResult.read(two), TrainResult.read(one)
    assert (found.tokens, found.steps, found.epochs) == (
        expected.tokens, expected.steps, expected.epochs,
    )  # fmt: skip
    assert found.heldout_loss == pytest.approx(expected.heldout_loss, abs=1e-3)
    assert found.trainable == expected.trainable


@pytest.mark.parametrize("case", list(CASES))
def test_what_two_processes_write_is_whole(both, bases, case):
    out = both / case
    manifest = verify_directory(out)
    assert manifest is not None
    assert manifest.provenance["processes"] == 2
    assert manifest.provenance["sharded"] == (both.name.startswith("fsdp"))
    assert not out.with_name(out.name + ".run").exists()
    assert (out / "control").is_dir()
    family, _ = CASES[case]
    adapter = (out / "adapter_config.json").is_file()
    fitted = load(out, base=bases[family] if adapter else None, device="cpu")
    assert not isinstance(fitted.hf, PeftModel)
    assert torch.isfinite(fitted.run(torch.tensor([[1, 2, 3]]))).all()


@pytest.mark.parametrize("sharded", [False, True])
def test_killed_and_resumed_to_the_same_bits(bases, tmp_path, sharded):
    config = {**RECIPE, "batch_size": 2, "resume_every": 0.0, "method": "full"}
    model = str(bases["llama"])
    whole = {"model": model, "config": config, "fsdp": sharded, "out": str(tmp_path / "whole")}
    killed = {**whole, "out": str(tmp_path / "killed")}
    done = by(2, [whole, {**killed, "die": 6}], tmp_path)
    assert done["code"] != 0
    assert not (tmp_path / "killed").exists()
    assert list((tmp_path / "killed.run").glob("step-*"))
    done = by(2, [{**killed, "resume": True}], tmp_path)
    assert done["code"] == 0, done["stderr"][-3000:]
    assert sha256(tmp_path / "killed") == sha256(tmp_path / "whole")
    with pytest.raises(InputRefused, match="processes: 2 -> None"):
        train(model, letters(PASSAGES), tmp_path / "killed", TrainConfig(**config),
              heldout=letters(5, 1), resume=True, device="cpu")  # fmt: skip


def test_what_is_refused_ends_every_process(bases, tmp_path):
    (tmp_path / "llama-late").mkdir()
    (tmp_path / "llama-late" / "notes.txt").write_text("mine")
    done = by(2, [job(bases, tmp_path, "llama-late", 2)], tmp_path)
    assert done["code"] != 0
    assert done["stderr"].count("nobody caught InputRefused") == 2
    assert "already exists; name another" in done["stderr"]
    assert [path.name for path in (tmp_path / "llama-late").iterdir()] == ["notes.txt"]


def test_fsdp_alone_is_refused(tmp_path):
    with pytest.raises(InputRefused, match="expected several processes"):
        train("smollm2", letters(4), tmp_path / "out", fsdp=True)
    assert not list(tmp_path.iterdir())


def test_fsdp_refuses_what_it_cannot_do(tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    pair = Processes(0, 2)
    with pytest.raises(InputRefused, match="expected the name of a model"):
        train(tiny("llama"), letters(4), tmp_path / "out", fsdp=True, processes=pair)
    with pytest.raises(InputRefused, match="expected no eval_every"):
        train("smollm2", letters(4), tmp_path / "out", TrainConfig(eval_every=1), fsdp=True,
              processes=pair, heldout=letters(4, 1))  # fmt: skip
    with pytest.raises(InputRefused, match=r"^fsdp: .*, found compile; leave one of the two out$"):
        train("smollm2", letters(4), tmp_path / "out", TrainConfig(compile=True), fsdp=True,
              processes=pair)  # fmt: skip
