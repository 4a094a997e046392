"""`train` and `trace` on a tiny model, in process: every option reaches the recipe."""

import csv
import json
import sys
from functools import partial
from importlib import util
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from hyperinterp.cli import training
from hyperinterp.cli.app import app
from hyperinterp.cli.progress import Reporter
from hyperinterp.report.schema import Report
from hyperinterp.text import Passages, builtin_passages
from hyperinterp.training import TrainConfig

from .report.factory import sparse

RUNNER = CliRunner()
SHORT = ["--seq-len", "30", "--batch-size", "4", "--rank", "4", "--device", "cpu"]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = Path(__file__).parent / "training" / "factory.py"
    spec = util.spec_from_file_location("training_factory_cli", path)
    assert spec is not None
    assert spec.loader is not None
    factory = util.module_from_spec(spec)
    sys.modules["training_factory_cli"] = factory
    spec.loader.exec_module(factory)
    return factory.saved_tiny("llama", tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "data.csv"
    rows = "".join(f"{number},the grey cat number {number} sat\n" for number in range(9))
    path.write_text("id,body\n" + rows)
    return path


def invoke(*arguments: object) -> str:
    found = RUNNER.invoke(app, [str(item) for item in arguments], catch_exceptions=False)
    assert found.exit_code == 0, found.output
    return found.stdout


def test_every_option_reaches_the_recipe(
    base: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    traced = partial(torch.compile, backend="eager")  # without the C++ compiler of the machine
    monkeypatch.setattr(torch, "compile", traced)
    out = tmp_path / "out"
    invoke(
        "train", base, "--data", data, "--column", "body", "--out", out, *SHORT,
        "--blocks", "last:2", "--alpha", 3, "--lr", 0.01, "--schedule", "cosine", "--warmup", 2,
        "--weight-decay", 0.1, "--gradient-checkpointing", "--save-epochs", "1,2",
        "--deterministic", "--compile",
        "--save-at", "9,8", "--epochs", 3,
        "--grad-accum", 2, "--seed", 7, "--passages", 8, "--target-loss", 0.01,
    )  # fmt: skip
    recipe = json.loads((out / "training.json").read_text())["recipe"]
    wanted = TrainConfig(
        blocks="last:2", rank=4, alpha=3.0, lr=0.01, schedule="cosine", warmup=2, weight_decay=0.1,
        gradient_checkpointing=True, save_epochs=(1, 2), save_at=(9.0, 8.0), epochs=3,
        deterministic=True, compile=True,
        grad_accum=2, seed=7, batch_size=4, seq_len=30, target_loss=0.01,
    ).as_json()  # fmt: skip
    assert {name: recipe[name] for name in wanted} == wanted
    rates = [
        json.loads(line)["lr"]
        for line in (out / "training_log.jsonl").read_text().splitlines()
        if '"step"' in line and '"lr"' in line
    ]
    assert max(rates) == pytest.approx(0.01)
    assert rates[0] < rates[1] > rates[-1], "warm-up, then cosine"
    assert {path.name for path in (out / "checkpoints").iterdir()} >= {"epoch-1", "epoch-2"}


def test_a_sweep_and_its_table(base: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "sweep"
    command = (
        "train", base, "--data", data, "--column", "body", "--out", out, *SHORT, "--epochs", 1,
        "--blocks", "last:1,last:2", "--seeds", "0,1",
    )  # fmt: skip
    told = invoke(*command)
    rows = list(csv.DictReader((out / "sweep.csv").read_text().splitlines()))
    names = ["last1-seed0", "last1-seed1", "last2-seed0", "last2-seed1"]
    assert [row["name"] for row in rows] == names
    assert [row["share_of_blocks"] for row in rows] == ["0.25", "0.25", "0.5", "0.5"]
    assert all(float(row["heldout_loss"]) > 0 for row in rows)
    assert all(name in told for name in names)
    assert invoke(*command) == told, "the second time nothing is trained"


def test_a_trace_of_a_run(base: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    invoke(
        "train", base, "--data", data, "--column", "body", "--out", out, *SHORT, "--epochs", 2,
        "--blocks", "last:1", "--save-epochs", 1,
    )  # fmt: skip
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text("\n".join(json.dumps({"text": f"{n} was a cold year " * 2}) for n in "abc"))
    told = invoke("trace", out, "--prompts", prompts, "--preset", "quick", "--device", "cpu")
    assert "epoch-1" in told
    assert {path.name for path in (tmp_path / "out-trace").iterdir()} == {
        "config.yaml", "trace.json", "trace.csv", "trace.html",
    }  # fmt: skip
    text = invoke(
        "trace", out, "--prompts", prompts, "--count", 2, "--out", tmp_path / "t", "--json",
        "--device", "cpu",
    )  # fmt: skip
    document = json.loads(text)
    assert [point["name"] for point in document["points"]] == ["base", "epoch-1", "final"]
    assert document["provenance"]["prompts"]["used"] == 2


def test_the_demos_control_is_chosen_by_passages_that_are_neither_learnt_nor_compared_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    given: dict[str, Any] = {}

    def trains(model: str, data: Passages, out: Path, config: TrainConfig, **more: Any) -> Any:
        given.update(data=data, config=config, heldout=more["heldout"])
        return SimpleNamespace(control=out / "control" if config.keep_control else None)

    def compares(base: object, fitted: object, **more: Any) -> Report:
        given.update(compared=more)
        return sparse()

    monkeypatch.setattr(training, "load", lambda *_, **__: None)
    monkeypatch.setattr(training, "save", lambda *_, **__: {})
    monkeypatch.setattr(training, "train", trains)
    monkeypatch.setattr(training, "compare", compares)
    asked: dict[str, Any] = {"preset": "quick", "seed": 0, "device": "cpu", "force": False}
    everything = builtin_passages("train").items
    for count, unseen in ((32, everything[80:]), (90, everything[90:])):
        training.run_demo(tmp_path, Reporter(quiet=True), passages=count, **asked)
        assert given["heldout"].items == unseen
        assert not set(given["heldout"].texts) & set(given["data"].texts)
        assert not set(given["heldout"].texts) & set(builtin_passages("heldout").texts)
        assert given["compared"]["control"] == tmp_path / "late-stage" / "control"
        assert given["compared"]["train_data"] == given["data"]
    training.run_demo(tmp_path, Reporter(quiet=True), passages=96, **asked)
    assert "control" not in given["compared"]
    assert not given["config"].keep_control
