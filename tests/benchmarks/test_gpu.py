"""The parts for a card, rehearsed on the CPU with a tiny model and reduced sizes."""

import ast
import json
import sys
import time
import zipfile
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig

from benchmarks import (
    claims,
    gpu,
    gpu_claims,
    gpu_decode,
    gpu_eight,
    gpu_pack,
    gpu_pair,
    gpu_ratios,
)
from benchmarks.device import bandwidth, launches, peak_bytes, seconds
from benchmarks.gpu_job import Job
from benchmarks.gpu_table import markdown
from hyperinterp.checkpoints import save_checkpoint
from hyperinterp.claims.registry import CLAIMS
from tests.hyperinterp.training.factory import _GROUPED, byte_tokenizer

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = AutoModelForCausalLM.from_config(LlamaConfig(**_GROUPED | {"num_hidden_layers": 6}))
    folder = tmp_path_factory.mktemp("models") / "tiny"
    return str(save_checkpoint(made, byte_tokenizer(), folder, provenance={}))


@pytest.fixture
def rehearsed(tmp_path, model):
    """Run one part with reduced sizes; gives what it wrote, and the page."""

    def run(name, work, seconds=600.0):
        results = gpu.Results(tmp_path / "gpu.json")
        results.update(name, {"words": gpu.PARTS[name].words}, anew=True)
        job = Job(
            model, small=True, seconds=seconds, beside=results.beside, device=CPU,
            tell=lambda **figures: results.update(name, figures),
        )  # fmt: skip
        job.tell(**job.facts())
        work(job)
        results.update(name, {"ended": "finished"})
        page = (tmp_path / "gpu.md").read_text(encoding="utf-8")
        assert "reduced sizes" in page
        return results.read()["parts"][name], page

    return run


def test_a_pair_is_compared_on_both_devices_figure_by_figure(rehearsed, tmp_path):
    found, page = rehearsed("a", gpu_pair.agreement)
    assert found["same_verdicts"] is True
    assert set(found["claims"]) == {spec.id for spec in CLAIMS}
    assert all(
        item["largest_relative_difference"] in (0, None) for item in found["claims"].values()
    )
    assert found["claims"]["C5"]["figures"] > 500
    beside = json.loads((tmp_path / found["unequal_figures"]).read_text(encoding="utf-8"))
    assert set(beside["figures"]) == set(found["claims"])
    assert not any(beside["figures"].values())
    assert "| C5 |" in page


def test_figures_are_apart_relative_to_their_size():
    assert gpu_pair.apart(2.0, 1.0) == 0.5
    assert gpu_pair.apart(0.0, 1e-9) == pytest.approx(1e-6)
    assert dict(gpu_pair.numbers({"a": [1, {"b": 2.5}], "c": True, "d": "x", "e": None})) == {
        "/a/0": 1.0,
        "/a/1/b": 2.5,
    }


def test_figures_that_are_not_near_are_listed():
    cpu, card = {"a": 1.0, "b": 2.0, "c": 3.0}, {"a": 1.0 + 1e-8, "b": 2.1, "d": 4.0}
    assert gpu_pair.unequal(cpu, card) == {"b": (2.0, 2.1), "c": (3.0, None), "d": (None, 4.0)}


def test_decoding_is_timed_beside_generate(rehearsed, model):
    found, page = rehearsed("c", gpu_decode.decoding)
    one = found["decoding"]["float32"]["4"]
    assert one["hyperinterp"]["tokens_per_second"] > 0
    assert one["transformers"]["per_step"]["operators"] > 10
    hf = AutoModelForCausalLM.from_pretrained(model)
    cache = 2 * 6 * 2 * 8 * 4 * 4 * (32 + 3)  # both, blocks, heads, width, bytes, rows, tokens
    assert one["bytes_per_step"] == sum(w.nbytes for w in hf.parameters()) + cache - (
        hf.get_input_embeddings().weight.nbytes
    )
    assert "| bfloat16 | 4 | transformers |" in page


def test_parts_without_time_say_so(rehearsed):
    found, _ = rehearsed("c", gpu_decode.decoding, seconds=0.0)
    assert found["decoding"]["float32"]["4"] == {"left_out": "no time left"}


@pytest.mark.full
def test_a_hyperfit_on_its_own_text(rehearsed):
    found, page = rehearsed("e", gpu_pair.paper)
    assert found["passages"]["count"] == found["passages"]["wanted"] == 8
    assert "sampled by the base model itself" in page
    assert found["late-stage"]["epochs"] == found["full"]["epochs"] == 1
    for method in ("full", "late-stage"):
        assert found[f"compare_{method}"]["verdicts"]["C8"] != "not tested"


@pytest.mark.full
def test_the_claims_of_real_pairs(rehearsed, monkeypatch):
    monkeypatch.setattr(claims, "METHODS", ("late-stage",))
    found, page = rehearsed("f", gpu_claims.real_pairs)
    run = found["runs"]["late-stage"]
    assert set(run["claims"]) == set(claims.PAPER) == {spec.id for spec in CLAIMS}
    assert run["claims"]["C9"]["verdict"] != "not tested"
    assert run["training"]["steps"] > 0
    assert "| C12 |" in page


def test_a_random_pair_is_asked_claim_by_claim(rehearsed, monkeypatch):
    monkeypatch.setattr(gpu_eight, "ORDER", ("C1", "C5"))
    found, page = rehearsed("b", gpu_eight.eight)
    assert {claim: item["ended"] for claim, item in found["claims"].items()} == {
        "C1": "finished",
        "C5": "finished",
    }
    assert "both models read the passages" in found["claims"]["C5"]["phases"]
    assert "| C5 | both models read the passages | finished |" in page


def test_the_fitted_random_model_differs_in_its_last_blocks_only():
    base, fitted = gpu_eight.random_pair(gpu_eight.SMALL | {"vocab_size": 50}, CPU)
    assert {weight.dtype for weight in fitted.parameters()} == {torch.bfloat16}
    same = [
        all(map(torch.equal, ours.parameters(), theirs.parameters()))
        for ours, theirs in zip(base.model.layers, fitted.model.layers, strict=True)
    ]
    assert not any(same[-gpu_eight.CHANGED :])
    assert torch.equal(base.lm_head.weight, fitted.lm_head.weight)


def test_what_ran_out_is_a_result_with_its_phase(rehearsed, monkeypatch):
    errors = {"C1": torch.OutOfMemoryError("tried too much"), "C5": gpu_eight.OutOfTime()}

    def fails(*_models, claims, progress, **_options):
        progress("both models read the passages", 0, 8)
        raise errors[claims]

    monkeypatch.setattr(gpu_eight, "ORDER", tuple(errors))
    monkeypatch.setattr(gpu_eight, "compare", fails)
    found, page = rehearsed("b", gpu_eight.eight)
    ends = {claim: item["ended"] for claim, item in found["claims"].items()}
    assert ends == {"C1": "memory ran out", "C5": "its time was up"}
    assert {item["phase"] for item in found["claims"].values()} == {"both models read the passages"}
    assert "tried too much" in found["claims"]["C1"]["said"]
    assert "its time was up in: both models read the passages" in page


def test_a_claim_that_has_used_its_time_is_stopped_at_its_next_word():
    told = []
    phases = gpu_eight.Phases(CPU, until=0.0, tell=told.append)
    with pytest.raises(gpu_eight.OutOfTime):
        phases("the models write", 0, 1)
    assert phases.name == "the models write"
    with pytest.raises(gpu_eight.OutOfTime), gpu_eight._alarm(0.05):
        time.sleep(30)
    assert told[0]["start"]["peak_bytes"] is None


def test_the_ratios_of_the_cpu_tables(rehearsed):
    found, page = rehearsed("d", gpu_ratios.ratios)
    assert found["capture"]["ratio"] > 0
    assert found["patching"]["largest_logit_difference"] < 1e-3
    assert found["training"]["operations_per_token"]["ratio"] > 1
    assert "HF Trainer over late-stage training" in page


def test_a_device_is_measured():
    assert bandwidth(CPU, rounds=1) > 1e6
    assert seconds(CPU, lambda: None) >= 0
    assert peak_bytes(CPU) is None
    one, two = torch.ones(2), torch.ones(2)
    assert launches(CPU, lambda: one.add_(two).mul_(two)) == {"operators": 2}


# -- the command itself ---------------------------------------------------------------------------


def test_a_part_that_hangs_or_fails_costs_that_part_only(tmp_path, monkeypatch, capsys):
    stub = tmp_path / "stub.py"
    stub.write_text(
        "import sys, time\n"
        "name = sys.argv[sys.argv.index('--part') + 1]\n"
        "print('this is', name, flush=True)\n"
        "time.sleep(60) if name == 'c' else sys.exit({'a': 3, 'd': 0}[name])\n",
        encoding="utf-8",
    )
    monkeypatch.setattr(gpu, "COMMAND", [sys.executable, str(stub)])
    out = tmp_path / "results" / "gpu.json"
    monkeypatch.setattr(
        sys, "argv", ["gpu", "--out", str(out), "--parts", "a,c,d", "--minutes", "0.5"]
    )
    limit = f"stopped at its limit of {0.5 * gpu.PARTS['c'].seconds / gpu.MINUTES:.0f} s"
    monkeypatch.setenv("PYTHONPATH", "")
    assert gpu.main() == 1
    parts = json.loads(out.read_text(encoding="utf-8"))["parts"]
    assert list(parts) == ["a", "c", "d"]
    assert parts["a"]["ended"] == "failed with exit code 3"
    assert parts["a"]["said"] == "this is a\n"
    assert parts["c"]["ended"] == limit
    assert parts["d"]["ended"] == "finished"
    assert "said" not in parts["d"]
    assert f"{limit} after" in capsys.readouterr().out
    assert [path.name for path in out.parent.iterdir() if path.name.startswith(".")] == []


def test_unknown_parts_are_refused(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["gpu", "--parts", "a,z"])
    with pytest.raises(SystemExit):
        gpu.main()
    assert "expected some of a,c,e,f,b,d, found z" in capsys.readouterr().err


def test_results_of_other_parts_stay(tmp_path):
    results = gpu.Results(tmp_path / "gpu.json")
    results.update("d", {"ended": "finished", "x": 1})
    results.update("a", {"ended": "not yet"}, anew=True)
    results.update("d", {"y": 2})
    assert results.read()["parts"] == {
        "a": {"ended": "not yet"},
        "d": {"ended": "finished", "x": 1, "y": 2},
    }
    assert markdown({"a": {}}).startswith("# On one card")


# -- what is carried to a machine without a package index -----------------------------------------


def test_a_model_is_cut_and_joined_again(tmp_path):
    file = tmp_path / "llm_x" / "model.gguf"
    file.parent.mkdir()
    file.write_bytes(bytes(range(256)) * 5)
    packed = tmp_path / "packed"
    parts = gpu_pack.carry_model(file, packed, 600)
    assert [part.stat().st_size for part in parts] == [600, 600, 80]
    (packed / gpu_pack.PACKAGES).mkdir()
    with zipfile.ZipFile(packed / gpu_pack.PACKAGES / "thing-1.zip", "w") as archive:
        archive.writestr("thing/__init__.py", "VALUE = 7\n")
    site, models = gpu_pack.unpack(packed)
    assert (site / "thing" / "__init__.py").read_text() == "VALUE = 7\n"
    assert (models / "llm_x" / "model.gguf").read_bytes() == file.read_bytes()
    parts[1].write_bytes(b"x" * 600)
    with pytest.raises(ValueError, match="do not join to its sha256"):
        gpu_pack.unpack(packed)
    parts[1].unlink()
    with pytest.raises(FileNotFoundError):
        gpu_pack.unpack(packed)


def test_installed_packages_are_packed_as_they_lie_here(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu_pack, "_fetched", lambda *_given: False)
    left = gpu_pack.carry_packages({"einops": "0", "numpy": "1"}, tmp_path, "3.12")
    assert left == ["numpy==1"]
    (packed,) = tmp_path.iterdir()
    names = zipfile.ZipFile(packed).namelist()
    assert "einops/__init__.py" in names
    assert not [name for name in names if name.startswith("..") or name.endswith(".pyc")]


@pytest.mark.parametrize(
    "text", ["Jinja2==3.1.6\n# c\nPyYAML\n", "Package Version\nJinja2  3.1\nPyYAML  6\n"]
)
def test_listings_of_packages_are_read(text):
    assert {"jinja2", "pyyaml"} <= gpu_pack.listed(text)


def test_what_runs_before_unpacking_needs_the_standard_library_alone():
    root = Path(gpu.__file__).parent
    for name in ("gpu", "gpu_pack", "gpu_table", "pages"):
        named = set()
        for node in ast.parse((root / f"{name}.py").read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Import):
                named |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                named.add(str(node.module))
        known = {*sys.stdlib_module_names, "benchmarks"}
        assert {module.partition(".")[0] for module in named} <= known, name
