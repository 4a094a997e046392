"""State dicts of torch.save: read like torch itself reads them, whatever holds them."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from transformers import AutoModelForCausalLM

from hyperinterp.checkpoints import (
    inspect_checkpoint,
    load_checkpoint,
    picklefile,
    resolve,
    sandbox,
)
from hyperinterp.checkpoints.picklefile import convert_pickled, screen_weights
from hyperinterp.errors import CorruptFile, InputRefused, UnsafeFile
from tests.hyperinterp.checkpoints.conftest import logits, make_adapter, make_model
from tests.hyperinterp.checkpoints.trust_rows import outcome


class Small(nn.Module):
    """Tied weights, a buffer that is no float, and an attribute on a parameter."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.embed, self.head = nn.Embedding(5, 4), nn.Linear(4, 5, bias=False)
        self.head.weight = self.embed.weight
        self.norm = nn.BatchNorm1d(3)
        self.norm.weight._is_hf_initialized = True  # pyright: ignore


def trained():
    model = Small()
    optimizer = torch.optim.Adam(model.parameters())
    model.embed.weight.sum().backward()
    optimizer.step()
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 5)
    return {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "scheduler": scheduler.state_dict(),
        "step": 3,
        "seed": 2**63 + 5,
        "lr": 1e-3,
        "best": None,
        "amp": True,
        "name": "run é",
        "shape": torch.Size([3, 4]),
        "device": torch.device("cpu"),
        "dtype": torch.bfloat16,
        "rng_state": torch.get_rng_state(),
        "history": [0.1, (1, 2, 3, 4), {"loss": 2.0}],
    }


LONG = torch.arange(100.0)
HONEST = {
    "plain": lambda: Small().state_dict(),
    "parameters": lambda: dict(Small().named_parameters()),
    "kept parameters": lambda: Small().state_dict(keep_vars=True),
    "nested": trained,
    "another key": lambda: {"my_lm": Small().state_dict(), "step": 1},
    "numbers beside": lambda: {**Small().state_dict(), "step": 3},
    "views": lambda: {
        "offset": LONG[10:20],
        "turned": LONG.view(10, 10).t(),
        "stepped": LONG[::3],
        "empty": LONG[:0],
        "scalar": torch.tensor(3.0),
    },
    "dtypes": lambda: {
        str(n): torch.ones(3, dtype=d)
        for n, d in enumerate(
            [torch.bfloat16, torch.float16, torch.float64, torch.int64, torch.int8, torch.bool]
        )
    },
}


def saved(folder, value, *, legacy=False, name="weights.pt"):
    torch.save(value, folder / name, _use_new_zipfile_serialization=not legacy)
    return folder / name


def directly(paths, under, folder):
    """What the child does, in this process: the honest files of these tests need no limits."""
    from hyperinterp.checkpoints import _child

    for number, (path, key) in enumerate(zip(paths, under, strict=True), 1):
        tensors = _child.check_state_dict(_child.read(path, torch), key, torch)
        _child.write_safetensors(folder / f"weights-{number}.safetensors", tensors, torch)
    return [folder / f"weights-{number}.safetensors" for number in range(1, len(paths) + 1)]


@pytest.fixture
def quick(monkeypatch):
    """No start of torch in a process of its own, which takes seconds."""
    monkeypatch.setattr(picklefile, "convert_weights", directly)


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("name", HONEST)
def test_tensors_are_those_that_torch_reads(tmp_path, quick, name, legacy):
    path = saved(tmp_path, HONEST[name](), legacy=legacy)
    (out,) = convert_pickled([path], tmp_path)
    plain = torch.load(path, weights_only=True)
    plain = plain.get("model", plain.get("my_lm", plain))
    expected = {k: v.detach() for k, v in plain.items() if isinstance(v, torch.Tensor)}
    found = load_file(out)
    assert sorted(found) == sorted(expected)
    for key, tensor in expected.items():
        assert found[key].dtype == tensor.dtype
        assert torch.equal(found[key], tensor)


def test_float8(tmp_path, quick):
    value = {
        "a": torch.ones(3, dtype=torch.float8_e4m3fn),
        "b": torch.ones(2).to(torch.float8_e5m2),
    }
    (out,) = convert_pickled([saved(tmp_path, value)], tmp_path)
    found = load_file(out)
    assert {k: (v.dtype, v.float().tolist()) for k, v in found.items()} == {
        k: (v.dtype, v.float().tolist()) for k, v in value.items()
    }


def test_tensors_of_a_gpu(tmp_path, quick):
    path = saved(tmp_path, {"x": LONG}, legacy=True)
    content = path.read_bytes()
    assert content.count(b"X\3\0\0\0cpu") == 1
    path.write_bytes(content.replace(b"X\3\0\0\0cpu", b"X\6\0\0\0cuda:0"))
    (out,) = convert_pickled([path], tmp_path)
    assert torch.equal(load_file(out)["x"], LONG)


def test_shards_in_one_real_child(tmp_path):
    first, second = {"a": LONG[5:7]}, {"model": {"b": LONG.view(10, 10).t()}}
    paths = [saved(tmp_path, v, name=f"{i}.bin") for i, v in enumerate((first, second))]
    found = [load_file(path) for path in convert_pickled(paths, tmp_path)]
    assert torch.equal(found[0]["a"], first["a"])
    assert torch.equal(found[1]["b"], second["model"]["b"])


REFUSED = {
    "module": (lambda: nn.Linear(2, 2), "names 'torch.nn.modules.linear Linear'"),
    "list": (lambda: [LONG], "found a list"),
    "tensor": (lambda: LONG, "found a tensor"),
    "no tensors": (lambda: {"step": 1}, "it has 'step'"),
    "two": (lambda: {"model": {"x": LONG}, "module": {"x": LONG}}, "several: 'model', 'module'"),
    "deep": (lambda: {"a": {"b": {"x": LONG}}}, "it has 'a'"),
    "complex": (lambda: {"x": LONG.to(torch.complex64)}, "ComplexFloatStorage"),
    "sparse": (lambda: {"x": torch.eye(3).to_sparse()}, "_rebuild_sparse_tensor"),
    "set": (lambda: {"x": LONG, "seen": {1, 2}}, "names '__builtin__ set'"),
}


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("name", REFUSED)
def test_what_holds_more_or_less_is_refused_with_a_way_out(tmp_path, name, legacy):
    make, said = REFUSED[name]
    path = saved(tmp_path, make(), legacy=legacy)
    with pytest.raises(InputRefused) as refusal:
        screen_weights(path)
    assert said in str(refusal.value)
    assert "torch.save(model.state_dict(), 'weights.pt')" in str(refusal.value)


def test_a_child_that_reads_other_tensors_than_were_announced(tmp_path, monkeypatch):
    def other(paths, under, folder):
        return directly([saved(folder, {"x": LONG[:3]}, name="other.pt")], under, folder)

    monkeypatch.setattr(picklefile, "convert_weights", other)
    with pytest.raises(UnsafeFile, match="other tensors than its pickle says"):
        convert_pickled([saved(tmp_path, {"x": LONG})], tmp_path)


def test_the_child_may_write_a_few_times_what_it_reads(tmp_path):
    path = saved(tmp_path, {str(n): LONG for n in range(8)})
    (out,) = sandbox.convert_weights([path], [None], tmp_path)
    assert len(load_file(out)) == 8
    assert out.stat().st_size > path.stat().st_size


# -- as checkpoints ----------------------------------------------------------------------------


@pytest.fixture
def places(made, tmp_path, quick):
    """A state dict alone, nested, in a directory, as shards; all of the same model."""
    model = AutoModelForCausalLM.from_pretrained(made / "whole")
    weights = model.state_dict()
    saved(tmp_path, weights, name="alone.pth")
    saved(tmp_path, {"state_dict": weights, "epoch": 1}, name="nested.ckpt")
    for name in ("single", "shards", "both"):
        shutil.copytree(made / "whole", tmp_path / name)
        (tmp_path / name / "hyperinterp-manifest.json").unlink()
        if name != "both":
            (tmp_path / name / "model.safetensors").unlink()
    saved(tmp_path / "single", weights, name="pytorch_model.bin")
    saved(tmp_path / "both", make_model(7).state_dict(), name="pytorch_model.bin")
    names = sorted(weights)
    parts = {"pytorch_model-1.bin": names[:5], "pytorch_model-2.bin": names[5:]}
    for part, held in parts.items():
        saved(tmp_path / "shards", {name: weights[name] for name in held}, name=part)
    index = {"weight_map": {name: part for part, held in parts.items() for name in held}}
    (tmp_path / "shards" / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    return tmp_path


@pytest.mark.parametrize("name", ["alone.pth", "nested.ckpt", "single", "shards", "both"])
def test_logits_of_plain_transformers(places, made, ids, name):
    like = made / "whole" if "." in name else None
    found = load_checkpoint(places / name, like=like)
    plain = AutoModelForCausalLM.from_pretrained(made / "whole")
    assert torch.equal(logits(found.model, ids), logits(plain, ids))
    assert found.tokenizer is not None
    if like is not None:
        assert "--like" in found.notes[0]
        assert found.source.kind == "state_dict"


def test_an_adapter_in_a_pickle(made, tmp_path, ids, quick):
    folder = tmp_path / "adapter"
    shutil.copytree(made / "adapter", folder)
    (folder / "hyperinterp-manifest.json").unlink()
    saved(folder, load_file(folder / "adapter_model.safetensors"), name="adapter_model.bin")
    (folder / "adapter_model.safetensors").unlink()
    found = load_checkpoint(folder, base=made / "whole")
    expected = load_checkpoint(made / "adapter")
    assert torch.equal(logits(found.model, ids), logits(expected.model, ids))
    with pytest.raises(InputRefused, match="name its directory"):
        load_checkpoint(folder / "adapter_model.bin")


@pytest.mark.parametrize("kind", ["whole.pt", "whole"])
def test_like_takes_any_whole_model(places, made, ids, kind):
    found = load_checkpoint(places / "alone.pth", like=made / kind)
    assert found.fingerprint == load_checkpoint(places / "single").fingerprint
    assert inspect_checkpoint(places / "alone.pth", like=made / kind).kind == "state_dict"


def test_like_serves_safetensors_alone_and_an_adapter_s_base(places, made, ids, tmp_path):
    lone = tmp_path / "lone.safetensors"
    shutil.copy(made / "whole" / "model.safetensors", lone)
    whole = load_checkpoint(lone, like=made / "whole")
    assert torch.equal(logits(whole.model, ids), logits(make_model(), ids))
    adapter = tmp_path / "on-it"
    make_adapter(make_model()).save_pretrained(adapter)
    found = load_checkpoint(adapter, base=places / "alone.pth", like=made / "whole")
    plain = load_checkpoint(adapter, base=made / "whole")
    assert torch.equal(logits(found.model, ids), logits(plain.model, ids))


def test_without_like_one_line_names_it(places):
    with pytest.raises(InputRefused, match=r"--like CKPT \(in Python like=\)"):
        load_checkpoint(places / "alone.pth")


def test_like_that_cannot_serve(places, made):
    for like in (made / "adapter", places / "nested.ckpt"):
        with pytest.raises(InputRefused, match="--like takes a whole model"):
            load_checkpoint(places / "alone.pth", like=like)
    with pytest.raises(InputRefused, match="leave --like out"):
        inspect_checkpoint(made / "whole", like=made / "whole")


def changed(weights, how):
    first = "model.layers.0.self_attn.q_proj.weight"
    if how == "missing":
        del weights[first]
    elif how == "unexpected":
        weights["v_head.weight"] = LONG.clone()
    else:
        weights[first] = weights[first][:, :16].clone()
    return weights


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("missing", r"lacks 1 weights.*q_proj.*--like"),
        ("unexpected", r"no place for 1 tensors.*v_head.*--like"),
        ("shape", r"another shape.*q_proj\.weight \[32, 16\] for \[32, 32\]"),
    ],
)
def test_names_and_shapes_are_held_against_the_config(made, tmp_path, quick, how, said):
    weights = changed(make_model(tied=False).state_dict(), how)
    if how != "unexpected":
        weights["spare"] = torch.zeros(5000)
    path = saved(tmp_path, weights)
    with pytest.raises(InputRefused, match=said):
        load_checkpoint(path, like=made / "untied")


@pytest.mark.parametrize(
    "name", ["blocks.0.attn.W_Q", "blocks.1.attn._W_K", "unembed.W_U", "model.unembed.weight"]
)
def test_names_of_transformer_lens_are_refused_with_the_reason(made, tmp_path, quick, name):
    path = saved(tmp_path, {"embed.W_E": LONG, name: LONG})
    with pytest.raises(InputRefused, match=r"names of TransformerLens.*save_pretrained"):
        load_checkpoint(path, like=made / "whole")


def test_a_pt_file_is_told_by_its_content(made, tmp_path):
    assert resolve(made / "whole.pt").kind == "bundle"
    assert resolve(saved(tmp_path, {"x": LONG})).kind == "state_dict"
    shutil.copy(made / "whole.pt", tmp_path / "named.bin")
    assert resolve(tmp_path / "named.bin").kind == "bundle"
    (tmp_path / "x.pt").write_bytes(b"hello")
    with pytest.raises(UnsafeFile, match=r"neither a bundle .* nor a state dict"):
        load_checkpoint(tmp_path / "x.pt", like=made / "whole")


def test_damage_is_exit_2_or_unseen_never_a_crash(tmp_path):
    import random

    draw = random.Random(0)
    for legacy in (False, True):
        path = saved(tmp_path, trained(), legacy=legacy)
        content = path.read_bytes()
        for trial in range(30):
            changed = bytearray(content)
            if trial % 2:
                changed = changed[: draw.randrange(len(changed))]
            else:
                changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
            path.write_bytes(changed)
            row = outcome(lambda path=path: screen_weights(path))
            assert row["refused"] or (row["line"] == "accepted" and trial % 2 == 0), row
    for gone in range(1, 30):  # in a storage, and in the count before it
        path.write_bytes(content[:-gone])
        with pytest.raises(CorruptFile, match="truncated"):
            screen_weights(path)
