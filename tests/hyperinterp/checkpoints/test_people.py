"""What people bring loads with the logits of plain transformers or peft, or names a way out."""

import shutil
import warnings
from fnmatch import fnmatch
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants

from hyperinterp.checkpoints import (
    hub,
    inspect_checkpoint,
    load_checkpoint,
    pinned,
    resolve,
    save_checkpoint,
)
from hyperinterp.checkpoints.naming import Spelled, split_name
from hyperinterp.errors import InputRefused, MismatchedPair, UnsafeFile
from tests.hyperinterp import people

CONFIGS = {
    "a cache": ("config.json", {"cache_implementation": "hybrid"}),
    "attention chosen": ("config.json", {"_attn_implementation_autoset": True}),
    "flash attention": ("config.json", {"attn_implementation": "flash_attention_3"}),
    "paged": ("config.json", {"_attn_implementation": "paged|sdpa"}),
    "own code": ("config.json", {"auto_map": {"AutoModelForCausalLM": "m.LlamaForCausalLM"}}),
    "dtype": ("config.json", {"torch_dtype": "torch.bfloat16"}),
    "unsloth": ("config.json", {"unsloth_version": "2025.1", "unsloth_fixed": True}),
    "rotary": ("config.json", {"rope_scaling": {"type": "linear", "factor": 2.0}}),
    "leftover": ("config.json", {"quantization_config": {"quant_method": "bitsandbytes",
                                                         "load_in_4bit": True}}),
    "generation": ("generation_config.json", {"cache_implementation": "static",
                                              "auto_map": {"x": "y"}}),
    "slow tokenizer": ("tokenizer_config.json", {"use_fast": False}),
    "tokenizer code": ("tokenizer_config.json", {"auto_map": {"AutoTokenizer": ["t.T", None]}}),
    "templates": ("tokenizer_config.json", {"chat_template": [
        {"name": "default", "template": "a"}, {"name": "tool", "template": "b"}]}),
}  # fmt: skip
SAID = {
    "own code": "never loaded",
    "leftover": "read as they are",
    "tokenizer code": "never loaded",
}


@pytest.mark.parametrize("name", CONFIGS)
def test_configs_of_other_tools(tmp_path, name):
    file, changes = CONFIGS[name]
    folder = people.with_config(tmp_path, file, **changes)
    ours = load_checkpoint(folder)
    people.edit(
        folder / "config.json", auto_map=None, torch_dtype=None, quantization_config=None,
        attn_implementation=None, _attn_implementation=None,
    )  # fmt: skip
    assert torch.equal(people.logits(ours.model), people.logits(people.plain(folder)))
    assert ours.tokenizer is not None
    told = " ".join(ours.notes)
    assert SAID[name] in told if name in SAID else not told


@pytest.mark.parametrize(
    ("changes", "way_out"),
    [
        ({"model_type": None}, 'write "model_type": "llama"'),
        ({"model_type": "evil"}, "pip install -U transformers"),
        ({"_attn_implementation": "kernels-community/flash-attn3"}, "remove the key"),
    ],
)
def test_configs_that_are_refused_name_a_way_out(tmp_path, changes, way_out):
    folder = people.with_config(tmp_path, **changes)
    with pytest.raises(InputRefused) as refusal:
        load_checkpoint(folder)
    assert way_out in str(refusal.value)


def test_quantised_weights_name_the_command_that_installs_what_reads_them(tmp_path):
    folder = people.with_config(tmp_path, quantization_config={"quant_method": "gptq", "bits": 4})
    people.renamed(folder, lambda n: n.replace("q_proj.weight", "q_proj.qweight"))
    with pytest.raises(InputRefused, match="pip install gptqmodel"):
        load_checkpoint(folder)
    people.edit(folder / "config.json", quantization_config={"quant_method": "quark"})
    with pytest.raises(InputRefused, match=r"model\.dequantize\(\)"):
        load_checkpoint(folder)


ADAPTERS = {
    "no task": {"task_type": None},
    "pattern": {"target_modules": r".*layers\.\d+\.(self_attn|mlp)\.(q|v|up)_proj"},
    "excluded": {"target_modules": "all-linear", "exclude_modules": r".*layers\.1.*"},
    "ranks": {"rank_pattern": {r"layers\.(0|2)\..*": 2}, "alpha_pattern": {"v_proj": 32}},
    "anchors": {"alpha_pattern": {r"^model\.layers\.1\.self_attn\.q_proj$": 16}},
    "embedding": {"target_modules": ["q_proj", "embed_tokens"]},
    "head": {"target_modules": ["q_proj", "lm_head"]},
    "saved": {"modules_to_save": ["embed_tokens", "lm_head"]},
    "tokens": {"trainable_token_indices": [5, 6]},
    "named tokens": {"trainable_token_indices": {"embed_tokens": [5, 6]}},
    "dora": {"use_dora": True},
    "bias": {"lora_bias": True},
}


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("name", ADAPTERS)
def test_adapters_are_what_plain_peft_reads(tmp_path, name, tied):
    whole = people.base(tmp_path) if tied else people.untied(tmp_path)
    folder = people.adapter(tmp_path, tied=tied, **ADAPTERS[name])
    expected = people.logits(people.plain(whole, folder))
    live, merged = load_checkpoint(folder, merge=False), load_checkpoint(folder)
    assert torch.equal(people.logits(live.model), expected)
    assert (people.logits(merged.model) - expected).abs().max() < 1e-5
    assert merged.notes == ()
    if name != "bias":
        save_checkpoint(merged.model, merged.tokenizer, tmp_path / "again", provenance={})
        again = load_checkpoint(tmp_path / "again")
        assert torch.equal(people.logits(again.model), people.logits(merged.model))


def test_a_scale_that_only_a_pattern_decides_is_refused(tmp_path):
    people.base(tmp_path)
    folder = people.adapter(tmp_path, alpha_pattern={r"layers\.(0|2)\..*": 2})
    with pytest.raises(InputRefused, match=r"never run.*merge_and_unload"):
        load_checkpoint(folder)


def test_the_base_that_is_named_wins_and_a_note_says_so(tmp_path):
    whole, folder = people.base(tmp_path), people.adapter(tmp_path)
    expected = people.logits(load_checkpoint(folder).model)
    people.edit(
        folder / "adapter_config.json", base_model_name_or_path="me/b-4bit", revision="4bit"
    )
    ours = load_checkpoint(folder, base=str(whole))
    assert torch.equal(people.logits(ours.model), expected)
    assert ours.notes == (f"{folder}: names the base me/b-4bit@4bit; it was put on {whole}.",)
    people.edit(folder / "adapter_config.json", base_model_name_or_path="../elsewhere")
    load_checkpoint(folder, base=whole)
    with pytest.raises(UnsafeFile, match=r"give another one"):
        load_checkpoint(folder)


def test_an_adapter_beside_an_adapter_goes_on_its_own_base(tmp_path):
    people.base(tmp_path)
    first, second = people.adapter(tmp_path, "first"), people.adapter(tmp_path, "second", r=2)
    expected = people.logits(load_checkpoint(second).model)
    ours = load_checkpoint(second, base=first, base_if_adapter=True)
    assert torch.equal(people.logits(ours.model), expected)
    with pytest.raises(MismatchedPair, match="itself an adapter"):
        load_checkpoint(second, base=first)


@pytest.mark.parametrize(
    "rename",
    [
        lambda n: f"_orig_mod.{n}",
        lambda n: f"module.{n}",
        lambda n: f"module._orig_mod.{n}",
        lambda n: n.replace("layers.1.", "layers.1._orig_mod."),
        lambda n: f"_fsdp_wrapped_module.{n}",
        lambda n: f"model.{n}",
    ],
)
def test_names_of_wrappers_are_taken_off(tmp_path, rename):
    folder = people.fitted(tmp_path)
    plain = load_checkpoint(folder)
    ours = load_checkpoint(people.renamed(folder, rename))
    assert torch.equal(people.logits(ours.model), people.logits(plain.model))
    assert ours.fingerprint == plain.fingerprint
    assert "wrapper's name" in ours.notes[0]


def test_names_of_wrappers_are_taken_off_an_adapter(tmp_path):
    people.base(tmp_path)
    folder = people.adapter(tmp_path)
    expected = people.logits(load_checkpoint(folder).model)
    people.renamed(
        folder,
        lambda n: "module." + n.replace(".model.model", ".model._orig_mod.model").replace(
            "lora_A.weight", "lora_A.default.weight"
        ),
        "adapter_model.safetensors",
    )  # fmt: skip
    assert torch.equal(people.logits(load_checkpoint(folder).model), expected)


def test_the_newest_whole_checkpoint_of_a_run(tmp_path):
    run = people.trainer_run(tmp_path)
    shutil.copy(run / "checkpoint-10" / "tokenizer.json", run)
    (run / "checkpoint-10" / "tokenizer.json").unlink()
    ours = load_checkpoint(run)
    assert ours.source.path == run / "checkpoint-10"
    assert "checkpoint-10 was read; passed over: checkpoint-100 (" in ours.notes[0]
    assert "folder above" in ours.notes[1]
    assert load_checkpoint(run, subfolder="checkpoint-5").source.path == run / "checkpoint-5"
    for step in ("5", "10"):
        (run / f"checkpoint-{step}" / "model.safetensors").unlink()
    with pytest.raises(InputRefused, match="name a folder with a whole one"):
        resolve(run)


def test_whole_weights_beside_the_config_of_an_adapter(tmp_path):
    people.base(tmp_path)
    folder, adapter = people.fitted(tmp_path), people.adapter(tmp_path)
    expected = people.logits(people.plain(folder))
    shutil.copy(adapter / "adapter_config.json", folder)
    ours = load_checkpoint(folder)
    assert torch.equal(people.logits(ours.model), expected)
    assert "read as a whole model" in ours.notes[0]
    shutil.copy(adapter / "adapter_model.safetensors", folder)
    assert "the adapter was read" in load_checkpoint(folder).notes[0]


@pytest.fixture
def cached(tmp_path, monkeypatch):
    """A Hub cache that holds me/base, me/fitted and me/nested, out of the Hub's reach."""
    nested = tmp_path / "nested"
    people.fitted(nested, "step/9")
    shutil.move(nested / "step/9" / "tokenizer.json", nested / "tokenizer.json")
    sources = {"me/base": people.base(tmp_path), "me/fitted": people.fitted(tmp_path)}

    def make(*, shared: bool = True) -> Path:
        cache = people.hub_cache(tmp_path, {**sources, "me/nested": nested}, shared=shared)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
        download = hub.snapshot_download
        monkeypatch.setattr(
            hub, "snapshot_download", lambda name, **kw: download(name, cache_dir=cache, **kw)
        )
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        return cache

    return make


@pytest.mark.parametrize("shared", [True, False])
def test_the_cache_of_the_hub(cached, tmp_path, shared):
    cache = cached(shared=shared)
    blobs = list((cache / "models--me--base" / "blobs").iterdir())
    assert any(blob.is_symlink() for blob in blobs) is shared
    expected = people.logits(people.plain(tmp_path / "fitted"))
    for name in ("me/fitted", "me/fitted@v1", "me/fitted@main", "me/nested:step/9"):
        ours = load_checkpoint(name)
        assert torch.equal(people.logits(ours.model), expected)
        assert ours.tokenizer is not None
        assert ours.source.name == name
    snapshot = next((cache / "models--me--fitted" / "snapshots").iterdir())
    assert torch.equal(people.logits(load_checkpoint(snapshot).model), expected)
    (tmp_path / "link").symlink_to(cache)
    through = tmp_path / "link" / snapshot.relative_to(cache)
    assert torch.equal(people.logits(load_checkpoint(through).model), expected)
    assert inspect_checkpoint("me/nested", subfolder="step/9").kind == "hub"
    with pytest.raises(InputRefused, match="me/nested:FOLDER"):
        load_checkpoint("me/nested")
    with pytest.raises(InputRefused, match="not at revision v2 in the Hub's cache"):
        load_checkpoint("me/base", revision="v2")
    with pytest.raises(InputRefused, match=r"no such file or directory here.*did you mean me/fit"):
        load_checkpoint("me/fited")
    with pytest.raises(InputRefused, match=r"did you mean smollm2\?"):
        load_checkpoint("smolm2")


def test_links_that_leave_the_cache_are_refused(cached, tmp_path):
    cache = cached()
    snapshot = next((cache / "models--me--fitted" / "snapshots").iterdir())
    config, weights = snapshot / "config.json", snapshot / "model.safetensors"
    (tmp_path / "secret.json").write_text(config.read_text())
    (cache / "loose.json").write_text(config.read_text())
    blob = config.resolve()
    targets = {
        "outside": tmp_path / "secret.json",
        "upwards": Path("../../../../secret.json"),
        "the cache's own top": cache / "loose.json",
    }
    for target in targets.values():
        config.unlink()
        config.symlink_to(target)
        with pytest.raises(UnsafeFile, match="leads outside"):
            load_checkpoint("me/fitted")
    config.unlink()
    blob.unlink()
    blob.symlink_to(tmp_path / "secret.json")  # a chain that ends outside
    config.symlink_to(blob)
    with pytest.raises(UnsafeFile, match="leads outside"):
        load_checkpoint("me/fitted")
    blob.unlink()
    shutil.copy(tmp_path / "secret.json", blob)
    load_checkpoint("me/fitted")
    shutil.move(cache / "blobs", tmp_path / "store")  # a store that is a link to elsewhere
    (cache / "blobs").symlink_to(tmp_path / "store")
    assert weights.exists()
    with pytest.raises(UnsafeFile, match="leads outside"):
        load_checkpoint("me/fitted")


def test_names_with_a_revision_and_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert split_name("me/base@refs/pr/1:a/b") == Spelled("me/base", "refs/pr/1", "a/b")
    assert pinned("me/base", "v1", "a/b") == "me/base@v1:a/b"
    assert pinned("me/base@v1", "v1") == "me/base@v1"
    source = resolve("me/base@v1:a")
    assert (source.repository, source.revision, source.subfolder) == ("me/base", "v1", "a")
    for name, revision, folder in (
        ("me/base@v1", "v2", None), ("me/base", "../x", None), ("me/base", None, "../x"),
        ("me/base@v1:../x", None, None), ("smollm2", "v1", None), ("smollm2@v1", None, None),
    ):  # fmt: skip
        with pytest.raises(InputRefused):
            resolve(name, revision, folder)
    people.fitted(tmp_path / "me" / "base", "inner")
    assert resolve("me/base:inner").path == Path("me/base/inner")
    assert resolve("me/base", subfolder="inner").name == "me/base/inner"
    with pytest.raises(InputRefused, match="local path"):
        resolve("me/base@v1:inner")
    (tmp_path / "me" / "base" / "out").symlink_to("/etc")
    with pytest.raises(UnsafeFile, match="outside"):
        resolve("me/base", subfolder="out")
    with pytest.raises(InputRefused, match="model that is loaded"):
        pinned(object(), "v1")


def test_a_mistyped_path_offers_what_is_there(tmp_path):
    (tmp_path / "runs" / "late-stage").mkdir(parents=True)
    with pytest.raises(InputRefused, match=r"no such file.*did you mean .*/runs/late-stage\?"):
        resolve(str(tmp_path / "runs" / "late-stag"))
    people.fitted(tmp_path / "runs", "a")
    people.fitted(tmp_path / "runs", "b")
    with pytest.raises(InputRefused, match=r"name one of the checkpoints in it: .*/a, .*/b"):
        resolve(tmp_path / "runs")
    weights = tmp_path / "runs" / "a" / "model.safetensors"
    for name in ("model-00001-of-00002.safetensors", "config.json"):
        shutil.copy(weights, weights.with_name(name)) if "of" in name else None
        with pytest.raises(InputRefused, match="name its folder"):
            resolve(weights.with_name(name))


def test_code_of_its_own_with_tensors_of_its_own_is_refused(tmp_path):
    folder = people.with_config(tmp_path, auto_map={"AutoModelForCausalLM": "m.Mine"})
    tensors = people.load_file(folder / "model.safetensors")
    tensors["model.gate.weight"] = torch.ones(3)
    people.save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(InputRefused, match=r"its own code.*model\.gate\.weight"):
        load_checkpoint(folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        people.edit(folder / "config.json", auto_map=None)
        load_checkpoint(folder)


@pytest.mark.parametrize("pickled", [True, False])
def test_pickles_are_fetched_only_where_nothing_else_is(tmp_path, monkeypatch, pickled):
    fitted = people.fitted(tmp_path)
    expected = people.logits(people.plain(fitted))
    weights = people.plain(fitted).state_dict()
    torch.save(weights, fitted / "pytorch_model.bin")
    if pickled:
        (fitted / "model.safetensors").unlink()
    local = tmp_path / "hub" / "snapshots" / "1"
    local.mkdir(parents=True)

    def download(_name, *, allow_patterns, **_more):
        for file in fitted.iterdir():
            if any(fnmatch(file.name, pattern) for pattern in allow_patterns):
                shutil.copy(file, local)
        return str(local)

    monkeypatch.setattr(hub, "snapshot_download", download)
    monkeypatch.setattr(hub, "hub_allowed", lambda: True)
    assert torch.equal(people.logits(load_checkpoint("me/fitted").model), expected)
    assert (local / "pytorch_model.bin").exists() is pickled
