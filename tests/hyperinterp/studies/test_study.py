"""A whole study of a tiny model: interrupted and resumed, with a cell that fails."""

import json
import random
import re
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from hyperinterp.checkpoints import save_checkpoint
from hyperinterp.claims.spec import Verdict
from hyperinterp.config import as_yaml
from hyperinterp.errors import InputRefused
from hyperinterp.studies import StudyConfig, StudyReport, study, writing
from hyperinterp.studies.cells import Cell, Places, Share
from hyperinterp.studies.figures import charts
from hyperinterp.studies.locks import held
from hyperinterp.studies.running import Runner
from hyperinterp.studies.studying import listed_cells
from hyperinterp.text import Passages
from tests.cli_rows import run_jobs

from ..training.factory import letters, tiny

SIZES = {
    "prompts": 3, "prompt_tokens": 8, "new_tokens": 18, "window": 18, "context_tokens": 20,
    "contexts_per_prompt": 4, "components": False, "variants": [], "control_prompts": 2,
}  # fmt: skip
Files = Callable[..., StudyConfig]


def _written(passages: Passages, path: Path) -> str:
    path.write_text("\n".join(json.dumps({"text": text}) for text in passages.texts))
    return str(path)


@pytest.fixture(scope="module")
def make_config(tmp_path_factory: pytest.TempPathFactory) -> Files:
    folder = tmp_path_factory.mktemp("texts")
    texts = {
        "data": _written(letters(4), folder / "data.jsonl"),
        "heldout": _written(letters(2, 9), folder / "heldout.jsonl"),
        "prompts": _written(letters(3, 5, 30, 40), folder / "prompts.jsonl"),
    }
    recipe = {"rank": 2, "batch_size": 4, "seq_len": 24, "epochs": 2, "target_loss": None}

    def make(**changes: object) -> StudyConfig:
        given = {
            "blocks": ["last:1", "first:1"], "whole": ["lora"], "seeds": [0], "passages": 4,
            "shuffled": False, "train": recipe, "claims": "C7,C9,C13", "sizes": SIZES,
            **texts, **changes,
        }  # fmt: skip
        return StudyConfig.of(given)

    return make


@pytest.fixture(scope="module")
def whole(make_config: Files, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, StudyReport]:
    out = tmp_path_factory.mktemp("study") / "out"
    return out, study(tiny("llama"), out, make_config())


def test_every_cell_is_trained_compared_and_judged(whole: tuple[Path, StudyReport]) -> None:
    out, found = whole
    assert [(cell.name, cell.state, cell.blocks) for cell in found.cells] == [
        ("lora-last1-seed0", "done", "3"), ("lora-first1-seed0", "done", "0"),
        ("lora-all-seed0", "done", "0-3"),
    ]  # fmt: skip
    assert found.cells[0].trainable == found.cells[1].trainable
    tested = {
        name: [it.recipe for it in found.cells if it.claims[name].verdict is not Verdict.NOT_TESTED]
        for name in ("C7", "C9", "C13")
    }
    assert tested["C7"] == ["lora-all"]
    assert tested["C13"] == ["lora-last1"]
    assert tested["C9"] == [recipe.name for recipe in found.recipes]
    first = found.recipes[0]
    assert first.tested_in["C7"] == ("lora-all",)
    assert first.claims["C9"].verdict is Verdict.INCONCLUSIVE
    assert "three are needed" in first.claims["C9"].why or "3 are needed" in first.claims["C9"].why
    assert StudyReport.read(out) == found
    assert {"study.html", "study.md", "study.yaml", "tables"} <= {it.name for it in out.iterdir()}
    assert [chart.name for chart in charts(found)] == ["forest"]
    assert "lora-first1-seed0" in (out / "study.md").read_text()


def test_figures_are_numbered_through_the_page(
    whole: tuple[Path, StudyReport], monkeypatch: pytest.MonkeyPatch
) -> None:
    (forest,) = charts(whole[1])
    drawn = [replace(forest, name=name) for name in ("forest", "plane", "growth")]
    monkeypatch.setattr(writing, "charts", lambda _: drawn)
    numbers = re.findall(r'<span class="number">Figure (\d+)\.', writing.page(whole[1]))
    assert numbers == ["1", "2", "3"]


def listed(config: StudyConfig, out: Path) -> list[tuple[str, str]]:
    return [(cell.name, state) for cell, state in listed_cells(config, out)]


def test_interrupted_anywhere_it_goes_on_to_the_same_study(
    whole: tuple[Path, StudyReport], make_config: Files, tmp_path: Path
) -> None:
    seen: list[str] = []

    def stop(task: str, done: int, total: int) -> None:
        if task not in seen and len(seen) < 40:
            seen.append(task)
            if len(seen) % 8 == 0:
                raise KeyboardInterrupt

    out = tmp_path / "out"
    for _ in range(6):
        try:
            study(tiny("llama"), out, make_config(), progress=stop)
            break
        except KeyboardInterrupt:
            known = {cell.name: cell.state for cell in StudyReport.read(out).cells}
            assert known == dict(listed(make_config(), out))  # what is there has been gathered
            continue
    assert len(seen) > 8
    assert (out / "study.json").read_bytes() == (whole[0] / "study.json").read_bytes()
    stamp = (out / "cells/lora-all-seed0/report/report.json").stat().st_mtime_ns
    study(tiny("llama"), out, make_config())
    assert (out / "cells/lora-all-seed0/report/report.json").stat().st_mtime_ns == stamp


def test_a_seed_that_is_over_needs_no_weights(
    whole: tuple[Path, StudyReport], make_config: Files, tmp_path: Path
) -> None:
    """They may be deleted, and the study goes on; a cell to be compared misses them."""
    out = tmp_path / "out"
    shutil.copytree(whole[0], out)
    for path in out.rglob("*.safetensors"):
        path.unlink()
    for path in out.rglob("report.json"):  # names of the checkpoints beside it are paths
        path.write_text(path.read_text().replace(str(whole[0]), str(out)))
    assert study(tiny("llama"), out, make_config()) == whole[1]
    assert not list(out.rglob("*.safetensors"))
    (out / "cells/lora-all-seed0/report/report.json").unlink()
    found = study(tiny("llama"), out, make_config())
    assert found.cells[2].state == "failed"
    assert "adapter_model.safetensors is missing" in found.cells[2].reason


def test_shares_leave_the_same_study_and_wait_for_each_other(
    whole: tuple[Path, StudyReport], make_config: Files, tmp_path: Path
) -> None:
    first = study(tiny("llama"), tmp_path / "out", make_config(), cell="1/2")
    states = {cell.name: cell.state for cell in first.cells}
    assert states == {
        "lora-last1-seed0": "trained", "lora-first1-seed0": "not done", "lora-all-seed0": "done",
    }  # fmt: skip
    assert any("not done yet" in note for note in first.notes)
    study(tiny("llama"), tmp_path / "out", make_config(), cell="2/2")
    assert study(tiny("llama"), tmp_path / "out", make_config()) == whole[1]


def test_a_cell_that_fails_costs_that_cell_and_is_tried_again(
    whole: tuple[Path, StudyReport], make_config: Files, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    honest = Runner.train

    def broken(self: Runner, cell: Cell) -> None:
        weight = self.base.hf.get_input_embeddings().weight.data
        kept = weight.clone()
        if cell.name == "lora-first1-seed0":
            weight.fill_(float("nan"))
        try:
            honest(self, cell)
        finally:
            weight.copy_(kept)

    with monkeypatch.context() as patched:
        patched.setattr(Runner, "train", broken)
        found = study(tiny("llama"), tmp_path / "out", make_config())
    assert found.failed == ("lora-first1-seed0",)
    assert "nan" in found.cells[1].reason.lower()
    assert [cell.state for cell in found.cells] == ["done", "failed", "done"]
    assert found.recipes[0].claims["C13"].verdict is Verdict.NOT_TESTED
    assert study(tiny("llama"), tmp_path / "out", make_config()) == whole[1]


def test_another_study_and_another_command_are_refused(
    whole: tuple[Path, StudyReport], make_config: Files, tmp_path: Path
) -> None:
    out = whole[0]
    with pytest.raises(InputRefused, match=r"the study that was begun there, found seeds: \[0\]"):
        study(tiny("llama"), out, make_config(seeds=[1]))
    with (
        held(Places(out), None),
        pytest.raises(InputRefused, match="no other command on this study"),
    ):
        study(tiny("llama"), out, make_config())
    with held(Places(out), Share(1, 2)), pytest.raises(InputRefused, match="share 1/2"):
        study(tiny("llama"), out, make_config(), cell="1/2")
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(InputRefused, match="a study or an empty directory"):
        study(tiny("llama"), tmp_path, make_config())


def test_what_cannot_be_trained_is_refused_before_anything_is_written(
    make_config: Files, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with pytest.raises(InputRefused, match="at most the model's 4 blocks, found last:5"):
        study(tiny("llama"), out, make_config(blocks=["last:5"]))
    with pytest.raises(InputRefused, match="at most the 4 passages"):
        study(tiny("llama"), out, make_config(passages=9))
    assert not out.exists()


def test_cells_are_listed_without_a_model(
    whole: tuple[Path, StudyReport], make_config: Files, tmp_path: Path
) -> None:
    assert {state for _, state in listed_cells(make_config(), tmp_path / "none")} == {"not done"}
    assert [state for _, state in listed_cells(make_config(), whole[0])] == ["done"] * 3


KILLED = """
import os, signal, sys, time
from hyperinterp.cli.main import main
wait, parent = float(sys.argv.pop(1)), os.getpid()
if wait and os.fork() == 0:
    time.sleep(wait)
    os.kill(parent, signal.SIGKILL)
    os._exit(0)
main()
"""


@pytest.mark.full
def test_killed_five_times_at_random_it_is_the_same_study(
    make_config: Files, tmp_path: Path
) -> None:
    """Two methods in three placements under three seeds, by the command."""
    model, options, script = (tmp_path / name for name in ("model", "study.yaml", "killed.py"))
    base = tiny("llama")
    save_checkpoint(base.hf, base.tokenizer, model, provenance={})
    config = make_config(
        methods=["lora", "full"], blocks=["last:1", "first:1", "middle:1"], whole=[],
        seeds=[0, 1, 2],
    )  # fmt: skip
    options.write_text(as_yaml(config.as_json()))
    script.write_text(KILLED)

    def job(wait: float, out: str) -> dict:
        given = ["study", str(model), "--config", str(options), "--out", str(tmp_path / out)]
        return {"script": str(script), "argv": [str(wait), *given]}

    (whole,) = run_jobs([job(0, "whole")], tmp_path)
    assert whole["code"] == 0, whole["stderr"]
    assert whole["seconds"] < 300
    draw = random.Random(4)
    waits = [draw.uniform(0.05, 0.18) * whole["seconds"] for _ in range(5)]
    found = run_jobs([*(job(wait, "out") for wait in waits), job(0, "out")], tmp_path)
    assert [item["code"] for item in found].count(-signal.SIGKILL) >= 3
    assert found[-1]["code"] == 0, found[-1]["stderr"]
    assert len(StudyReport.read(tmp_path / "out").cells) == 18
    texts = [(tmp_path / name / "study.json").read_text() for name in ("whole", "out")]
    assert texts[0] == texts[1]
