"""Models that are not on the CPU, or on several devices: the same report, to rounding."""

import json

import pytest
import torch
from accelerate import cpu_offload
from transformers import AutoModelForCausalLM

from hyperinterp.errors import InputRefused, OutOfResources
from hyperinterp.models import (
    Component,
    ComponentKind,
    HookedModel,
    devices_of,
    load,
    patched,
    perturbation,
    perturbed,
    self_check,
    weights_of,
)
from tests.cli_rows import run_jobs
from tests.hyperinterp.models.test_load import IDS, saved
from tests.hyperinterp.process_rows import make_pair

SCRIPT = """
import json, sys
from tests.pretend_device import pretend
pretend(narrow=NARROW)
import hyperinterp as hi
from hyperinterp.comparison import compare
from hyperinterp.sizes import Sizes
folder = sys.argv[1]
sizes = Sizes(
    prompts=8, prompt_tokens=5, new_tokens=6, window=6, context_tokens=12,
    contexts_per_prompt=3, order_contexts=12, lens_contexts=6, sweep=(0.7,), alphas=(1.0,),
    seeds=1, control_prompts=2, bias_steps=2, patch_prompts=3, null_draws=1, null_blocks=1,
    stitched=1,
)
ends = dict.fromkeys(["model.embed_tokens", "model.rotary_emb", "lm_head"], "pretend:0")
layers = [f"model.layers.{n}" for n in range(4)]
PLACES = {
    "cpu": {"device": "cpu"},
    "one": {"device": "pretend"},
    "two": {"device_map": ends | {"model.norm": "pretend:1"} | {
        layer: f"pretend:{n // 2}" for n, layer in enumerate(layers)}},
    "memory": {"device_map": ends | {"model.norm": "pretend:0"} | {
        layer: "cpu" if n > 1 else "pretend:0" for n, layer in enumerate(layers)}},
}
report = compare(
    folder + "/base", folder + "/fitted", prompts=hi.read_prompts(folder + "/prompts.jsonl"),
    control=folder + "/base", late_stage=[folder + "/base"], sizes=sizes, batch_size=4,
    **PLACES[sys.argv[2]])
print(json.dumps({
    "device": report.provenance.device,
    "claims": {name: [claim.verdict, claim.effect, claim.interval]
               for name, claim in report.claims.items()},
    "geometry": report.expansion.delta(),
}))
"""


def in_process(script, folder, *argv):
    """What a script prints in a process of its own."""
    file = folder / "script.py"
    file.write_text(script, encoding="utf-8")
    (done,) = run_jobs([{"script": str(file), "argv": list(argv)}], folder)
    assert done["code"] == 0, done["stderr"][-3000:]
    return done["stdout"].strip()


def report_of(folder, place, narrow=False):
    """What matters of the report of one pair, with its models on these devices."""
    script = SCRIPT.replace("NARROW", str(narrow))
    return json.loads(in_process(script, folder, str(folder), place))


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    return make_pair(tmp_path_factory.mktemp("pair"))


@pytest.fixture(scope="module")
def on_cpu(pair):
    return report_of(pair, "cpu")


@pytest.mark.parametrize(
    ("place", "named"),
    [
        pytest.param("one", "pretend:0", marks=pytest.mark.full),
        ("two", "pretend:0, pretend:1"),
        pytest.param("memory", "pretend:0", marks=pytest.mark.full),
    ],
)
def test_a_report_does_not_depend_on_where_the_models_are(pair, on_cpu, place, named):
    check_alike(report_of(pair, place), on_cpu, named)


def test_a_report_is_the_same_from_a_device_without_float64(pair, on_cpu):
    """As on a Mac: the models run there, and what leaves them is measured on the CPU."""
    check_alike(report_of(pair, "one", narrow=True), on_cpu, "pretend:0")


def check_alike(found, expected, named):
    assert sorted(found["device"].split(", ")) == named.split(", ")
    assert expected["device"] == "cpu"
    assert found["geometry"] == pytest.approx(expected["geometry"], rel=1e-4, abs=1e-4)
    tested = 0
    for name, (verdict, effect, interval) in expected["claims"].items():
        assert found["claims"][name][0] == verdict, name
        if effect is not None:
            tested += 1
            assert found["claims"][name][1] == pytest.approx(effect, abs=1e-4), name
            assert found["claims"][name][2] == pytest.approx(interval, abs=1e-4), name
    assert tested >= 5


SUMS = """
import sys
from pathlib import Path
from tests.pretend_device import pretend
pretend()
import torch
from hyperinterp.capture import ResumeDirectory, run_pair, spectra_everywhere, spectra_of
from hyperinterp.distributed import ALONE, Processes
from hyperinterp.models import load
from hyperinterp.sites import stream_sites
from hyperinterp.text import TokenRows
there = torch.device("pretend", 0)
base, fitted = (load(f"{sys.argv[1]}/{name}", device="pretend") for name in ("base", "fitted"))
rows = TokenRows(tuple(tuple(range(n, n + 9)) for n in range(12)), tuple(range(12)), 9, 0)
sites = stream_sites(base.n_layers)

def read(resume=None):
    return run_pair(base, fitted, rows, sites=sites, batch_size=4, positions=lambda *_: (),
                    resume=resume).sites

def places(sums):
    found = [moments._second for moments in sums.moments.values()]
    return {tensor.device for tensor in (*found, sums.cross._cross)}

kept = ResumeDirectory(Path(sys.argv[1]) / "sums", {}, ALONE)
fresh, again = read(kept), read(kept)
assert kept.restored("first-run")[0] == 3
for site in sites:
    assert places(fresh[site]) == places(again[site]) == {there}, site

class Two(Processes):  # the other one has nothing
    def everywhere(self, mine):
        return [mine]
    def tensors_everywhere(self, mine):
        assert all(tensor.device == torch.device("cpu") for tensor in mine.values())
        return [dict(mine)]

solved, solve = [], torch.linalg.eigh
torch.linalg.eigh = lambda matrix: solved.append(matrix.device) or solve(matrix)
states = [fresh[site].moments["base"].state() for site in sites]
merged = [type(fresh[sites[0]].moments["base"]).from_state(
    {name: tensor.cpu() for name, tensor in state.items()}) for state in states]
for device in ("cpu", there):
    solved.clear()
    spectra = {str(n): found for n, found in enumerate(spectra_of(merged, device))}
    assert solved == len(sites) * [torch.device(device)]
    for found in (spectra, spectra_everywhere(spectra, Two(0, 2))):
        for spectrum, sums in zip(found.values(), merged, strict=True):
            assert spectrum.vectors.device == spectrum.mean.device == torch.device("cpu")
            assert torch.equal(spectrum.eigenvalues, sums.spectrum(vectors=True).eigenvalues)
print("as it should be")
"""


def test_sums_and_solvers_are_where_the_model_is(pair):
    assert in_process(SUMS, pair, str(pair)) == "as it should be"


WRONG = """
import sys
import torch
from tests.pretend_device import FAULTS, pretend
pretend(narrow=True)
from hyperinterp.errors import InputRefused, UnsupportedModel
from hyperinterp.models import load
where = sys.argv[1]
print(load(where + "/base", device="pretend").home)
wrong = {
    "aten::silu": lambda out: out * 1.001,
    "aten::mm": lambda out: out.round(decimals=2),
    "aten::embedding": lambda out: out.flip(1),
    "aten::rsqrt": lambda out: out + 0.01,
    # only where one token is read after others, as in writing
    "aten::silu ": lambda out: out * 1.01 if out.shape[1] == 1 else out,
}
for name, fault in wrong.items():
    met = []
    FAULTS[name.strip()] = lambda out, fault=fault: met.append(1) or fault(out)
    try:
        load(where + "/base", device="pretend")
    except UnsupportedModel as error:
        print(name, error)
    else:
        print(name, "taken" if met else "not met")
    FAULTS.clear()
for options in ({"device": "pretend", "dtype": "float64"}, {"device_map": {"": "pretend"}}):
    try:
        load(where + "/base", **options)
    except InputRefused as error:
        print(error)
"""


def test_a_device_whose_logits_are_wrong_is_refused_at_load(pair):
    home, *told = in_process(WRONG, pair, str(pair)).splitlines()
    assert home == "cpu"
    *faults, dtype, spread = told
    assert len(faults) == 5
    assert all("self-check" in line for line in faults), faults
    alike = [line for line in faults if "'as on the CPU' expected logits" in line]
    assert len(alike) >= 3, faults  # what no identity shows, since both of its sides are wrong
    assert all(line.endswith("; update torch, or use --device cpu") for line in alike)
    assert "'as on the CPU' expected logits of a step" in faults[-1]
    assert dtype.endswith("found float64; choose float32, or the device cpu")
    assert spread.startswith("device map: expected cpu or cuda, found 'pretend', which has no")


def test_the_pretended_devices_refuse_what_a_gpu_refuses(tmp_path):
    script = """
import torch
from tests.pretend_device import pretend
pretend()
there = torch.ones(3, device="pretend:1")
assert (there * torch.tensor(2.0)).sum().item() == 6
assert there[torch.tensor([0, 2])].device == torch.device("pretend:1")
for act in (lambda: there + torch.ones(3), lambda: there + there.to("pretend:0"),
            lambda: there[torch.tensor([0], device="pretend:0")]):
    try:
        act()
    except RuntimeError as error:
        assert "same device" in str(error)
    else:
        raise SystemExit("taken")
try:
    there.numpy()
except TypeError:
    print("refused")
"""
    assert in_process(script, tmp_path) == "refused"


# -- weights that wait in memory, on a machine without accelerators ------------------------------


@pytest.fixture
def offloaded(tmp_path):
    """The same model twice: plain, and with every weight elsewhere until it is needed."""
    where = saved("llama", tmp_path / "m")
    waiting = AutoModelForCausalLM.from_pretrained(where)
    cpu_offload(waiting, torch.device("cpu"))
    assert all(weight.is_meta for weight in waiting.parameters())
    return load(where, device="cpu"), HookedModel(waiting)


def test_waiting_weights_are_reached_and_the_model_passes_its_checks(offloaded):
    plain, waiting = offloaded
    assert self_check(waiting).residual < 1e-4
    assert torch.equal(waiting.logits(IDS), plain.logits(IDS))
    assert devices_of(waiting.hf) == ("cpu",)
    ours, theirs = weights_of(waiting.blocks[1]), weights_of(plain.blocks[1])
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert all(weight.is_meta for weight in waiting.hf.parameters())


def test_a_random_change_of_waiting_weights_leaves_them_as_they_were(offloaded):
    plain, waiting = offloaded
    before = plain.logits(IDS)
    part = Component(ComponentKind.BLOCK, plain.n_layers - 1)
    with perturbed(waiting, perturbation(waiting, plain, part, torch.ones_like)):
        changed = waiting.logits(IDS)
    assert not torch.allclose(changed, before, atol=1e-2)
    assert torch.equal(waiting.logits(IDS), before)
    assert torch.equal(plain.logits(IDS), before)


def test_functions_are_exchanged_with_waiting_weights(offloaded, tmp_path):
    plain, waiting = offloaded
    other = load(saved("llama", tmp_path / "other", seed=1), device="cpu")
    component = [Component(ComponentKind.BLOCK, 0)]
    with patched(other, plain, component):
        expected = other.logits(IDS)
    with patched(other, waiting, component):
        assert torch.allclose(other.logits(IDS), expected, atol=1e-6)


def test_maps_that_cannot_be_are_refused(tmp_path):
    where = saved("llama", tmp_path / "m")
    assert load(where, device_map="auto").device.type in ("cpu", "cuda")
    with pytest.raises(InputRefused, match="device map: expected one of auto, balanced"):
        load(where, device_map="everywhere")
    with pytest.raises(InputRefused, match="device: expected auto beside a device map"):
        load(where, device_map="auto", device="cpu")
    with pytest.raises(InputRefused, match="device map: "):
        load(where, device_map={"model.embed_tokens": "cpu"})


@pytest.mark.parametrize(
    "words", ["CUDA out of memory. Tried to allocate 2 GiB", "CUBLAS_STATUS_ALLOC_FAILED"]
)
def test_a_device_without_room_is_named_with_advice(tmp_path, monkeypatch, words):
    where = saved("llama", tmp_path / "m")

    def full(*_given):
        raise torch.OutOfMemoryError(words)

    monkeypatch.setattr(torch.nn.Module, "to", full)
    with pytest.raises(OutOfResources, match="memory ran out while loading; try --dtype bfloat16"):
        load(where, device="cpu")


def test_other_faults_of_a_device_stay_what_they_are(tmp_path, monkeypatch):
    where = saved("llama", tmp_path / "m")

    def broken(*_given):
        raise RuntimeError("CUDA error: no kernel image is available")

    monkeypatch.setattr(torch.nn.Module, "to", broken)
    with pytest.raises(RuntimeError, match="no kernel image"):
        load(where, device="cpu")
