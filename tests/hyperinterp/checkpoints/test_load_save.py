"""Every kind of source, there and back again: same tensors, same logits, same token ids."""

import shutil
import warnings

import peft
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from hyperinterp.checkpoints import (
    export_bundle,
    hub,
    inspect_checkpoint,
    load_checkpoint,
    manifest,
    read_bundle,
    resolve,
    save_adapter,
    save_checkpoint,
)
from hyperinterp.errors import InputRefused, UnsafeFile
from tests.hyperinterp.checkpoints.conftest import logits, make_adapter, make_model
from tests.hyperinterp.training.factory import byte_tokenizer, tiny_hf


@pytest.mark.parametrize(
    ("name", "kind"),
    [("whole", "directory"), ("adapter", "adapter"), ("whole.pt", "bundle"),
     ("whole/model.safetensors", "safetensors")],
)  # fmt: skip
def test_resolve_paths(made, name, kind):
    source = resolve(made / name)
    assert (source.kind, source.path) == (kind, made / name)
    assert resolve(str(made / name)).kind == kind


def test_resolve_names(made, tmp_path, monkeypatch):
    assert resolve("smollm2").kind == "builtin"
    assert resolve("gpt2").kind == "hub"
    assert resolve("owner/model", "v1").revision == "v1"
    monkeypatch.chdir(tmp_path)
    shutil.copytree(made / "whole", tmp_path / "owner" / "model")
    assert resolve("owner/model").kind == "directory"  # a local directory wins
    with pytest.raises(InputRefused, match="Hub ids only"):
        resolve("owner/model", "main")


@pytest.mark.parametrize(
    "name",
    ["./none", "/none/x", "~/none-at-all", "a/b/c", "x.pt", "x.gguf", "m.safetensors", "runs/none",
     "a b", "x\\y", "evil/../x", "", "a\0b", "https://x.example/y"],
)  # fmt: skip
def test_names_that_look_like_paths_never_reach_the_hub(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    monkeypatch.setattr(hub, "snapshot_download", lambda *a, **k: pytest.fail("asked the Hub"))
    with pytest.raises(InputRefused):
        load_checkpoint(name)


def test_resolve_refusals(made, tmp_path):
    (tmp_path / "x.txt").write_text("x")
    with pytest.raises(InputRefused, match=r"\.gguf"):
        resolve(tmp_path / "x.txt")
    shutil.copytree(made / "whole", tmp_path / "run" / "checkpoint-9")
    source = resolve(tmp_path / "run")
    assert (source.path, source.above) == (tmp_path / "run" / "checkpoint-9", tmp_path / "run")
    with pytest.raises(InputRefused, match="revision"):
        resolve("owner/model", "../x")


@pytest.mark.parametrize("name", ["whole", "untied"])
def test_directory_round_trip_is_exact_and_plain_transformers_reads_it(made, ids, name):
    ours = load_checkpoint(made / name)
    assert not ours.model.training
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = AutoModelForCausalLM.from_pretrained(made / name)
        tokenizer = AutoTokenizer.from_pretrained(made / name)
    expected = make_model(1, tied=False) if name == "untied" else make_model()
    assert torch.equal(logits(ours.model, ids), logits(theirs, ids))
    assert torch.equal(logits(ours.model, ids), logits(expected, ids))
    assert ours.tokenizer("w1 w2 x")["input_ids"] == tokenizer("w1 w2 x")["input_ids"]
    assert ours.tokenizer.name_or_path == str(made / name)


def test_bundle_round_trip(made, ids):
    directory, bundle = load_checkpoint(made / "whole"), load_checkpoint(made / "whole.pt")
    assert bundle.fingerprint == directory.fingerprint
    assert torch.equal(logits(bundle.model, ids), logits(directory.model, ids))
    text = "w3 w4 zzz w59"
    assert bundle.tokenizer(text)["input_ids"] == directory.tokenizer(text)["input_ids"]
    assert bundle.provenance["seed"] == 0
    content = read_bundle(made / "whole.pt")
    stored = load_file(made / "whole" / "model.safetensors")
    assert set(content.tensors) == set(stored)
    assert all(torch.equal(content.tensors[n], t) for n, t in stored.items())
    assert (content.kind, content.fingerprint) == ("whole", directory.fingerprint)
    again = torch.load(made / "whole.pt", weights_only=True)  # any torch can read it
    assert all(isinstance(v, str | dict) for v in again.values())


def test_equal_tensors_are_stored_once(tokenizer, tmp_path):
    model = make_model(tied=False)
    model.lm_head.weight.data.copy_(model.model.embed_tokens.weight)
    save_checkpoint(model, tokenizer, tmp_path / "m", provenance={})
    export_bundle(tmp_path / "m", tmp_path / "m.pt")
    payload = torch.load(tmp_path / "m.pt", weights_only=True)["tensors"]
    first, second = payload["lm_head.weight"], payload["model.embed_tokens.weight"]
    assert first.data_ptr() == second.data_ptr()
    assert (
        load_checkpoint(tmp_path / "m.pt").fingerprint
        == load_checkpoint(tmp_path / "m").fingerprint
    )


@pytest.mark.parametrize("options", [{}, {"use_dora": True}, {"use_rslora": True}, {"bias": "all"}])
def test_adapter_gives_the_logits_of_plain_peft(made, tokenizer, ids, tmp_path, options):
    base = load_checkpoint(made / "whole")
    before = logits(base.model, ids)
    adapted = make_adapter(load_checkpoint(made / "whole").model, **options)
    facts = {"base_name": str(made / "whole"), "base_fingerprint": base.fingerprint}
    save_adapter(adapted, tokenizer, tmp_path / "a", provenance=facts)
    expected = logits(adapted, ids)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        plain = AutoModelForCausalLM.from_pretrained(made / "whole")
        theirs = peft.PeftModel.from_pretrained(plain, tmp_path / "a").eval()
    live = load_checkpoint(tmp_path / "a", merge=False)
    merged = load_checkpoint(tmp_path / "a", base=base)
    assert torch.equal(logits(theirs, ids), expected)
    assert torch.equal(logits(live.model, ids), expected)
    assert (logits(merged.model, ids) - expected).abs().max() < 1e-5
    assert (expected - before).abs().max() > 1e-3
    assert torch.equal(logits(base.model, ids), before)  # the caller's base is not changed
    assert merged.fingerprint == live.fingerprint != base.fingerprint
    assert merged.adapter.merged
    assert not live.adapter.merged
    assert merged.adapter.base_fingerprint == base.fingerprint
    save_checkpoint(merged.model, tokenizer, tmp_path / "merged", provenance={})
    assert torch.equal(
        logits(load_checkpoint(tmp_path / "merged").model, ids), logits(merged.model, ids)
    )
    with pytest.raises(InputRefused, match="live adapter"):
        save_checkpoint(adapted, tokenizer, tmp_path / "no", provenance={})


def test_adapter_bundle(made, ids):
    directory, bundle = load_checkpoint(made / "adapter"), load_checkpoint(made / "adapter.pt")
    assert bundle.fingerprint == directory.fingerprint
    assert bundle.adapter == directory.adapter
    assert torch.equal(logits(bundle.model, ids), logits(directory.model, ids))
    whole = load_checkpoint(made / "whole")
    assert read_bundle(made / "adapter.pt").base_fingerprint == whole.fingerprint


def test_single_safetensors_file(made, ids, tmp_path):
    single = load_checkpoint(made / "whole" / "model.safetensors")
    assert torch.equal(
        logits(single.model, ids), logits(load_checkpoint(made / "whole").model, ids)
    )
    shutil.copy(made / "whole" / "model.safetensors", tmp_path / "m.safetensors")
    with pytest.raises(InputRefused, match=r"config\.json beside it"):
        load_checkpoint(tmp_path / "m.safetensors")


def test_sharded_directory_has_the_same_fingerprint(made, ids, tmp_path):
    whole = load_checkpoint(made / "whole")
    whole.model.save_pretrained(tmp_path / "s", max_shard_size="20KB")
    assert len(list((tmp_path / "s").glob("*.safetensors"))) > 1
    sharded = load_checkpoint(tmp_path / "s")
    assert sharded.fingerprint == whole.fingerprint
    assert sharded.tokenizer is None
    assert torch.equal(logits(sharded.model, ids), logits(whole.model, ids))


def test_dtype_and_random_state(made):
    torch.manual_seed(5)
    state = torch.random.get_rng_state()
    half = load_checkpoint(made / "adapter", dtype=torch.bfloat16)
    assert {p.dtype for p in half.model.parameters()} == {torch.bfloat16}
    assert half.dtype == torch.bfloat16
    assert torch.equal(torch.random.get_rng_state(), state)
    with pytest.raises(InputRefused, match="floating"):
        load_checkpoint(made / "whole", dtype=torch.int8)
    with pytest.raises(InputRefused, match="eager"):
        load_checkpoint(made / "whole", attn_implementation="evil/kernel")
    assert load_checkpoint(made / "whole", attn_implementation="eager").model is not None


def test_inspect(made):
    whole = inspect_checkpoint(made / "whole")
    assert (whole.layers, whole.d_model, whole.vocabulary, whole.tied) == (2, 32, 64, True)
    assert whole.parameters == sum(p.numel() for p in make_model().parameters())
    assert (whole.architecture, whole.dtype, whole.verified) == ("LlamaForCausalLM", "F32", True)
    bundle = inspect_checkpoint(made / "whole.pt")
    assert bundle.fingerprint == whole.fingerprint
    assert bundle.verified
    adapter = inspect_checkpoint(made / "adapter")
    assert adapter.adapter is not None
    assert (adapter.adapter.rank, adapter.adapter.layers) == (4, (1,))
    assert adapter.adapter.base_fingerprint == whole.fingerprint


def test_save_adapter_needs_to_know_its_base(made, tokenizer, tmp_path):
    adapted = make_adapter(make_model())
    with pytest.raises(InputRefused, match="base_fingerprint"):
        save_adapter(adapted, tokenizer, tmp_path / "a", provenance={"base_name": "smollm2"})
    facts = {"base_name": "../x", "base_fingerprint": "0"}
    with pytest.raises(UnsafeFile, match=r"\.\."):
        save_adapter(adapted, tokenizer, tmp_path / "a", provenance=facts)


def test_hub_cache_layout(made, ids, tmp_path, monkeypatch):
    """The Hub's cache links into ../../blobs: fine, and only names that we read are asked for."""
    repository = tmp_path / "models--owner--model"
    blobs, snapshot = repository / "blobs", repository / "snapshots" / "abc"
    blobs.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    source = tmp_path / "source"
    shutil.copytree(made / "whole", source)
    (source / "hyperinterp-manifest.json").unlink()
    entries = {n: manifest._entry(source / n) for n in [p.name for p in source.iterdir()]}
    entries["training.json"] = manifest.FileEntry(3, "0" * 64)  # recorded, never fetched
    (source / "hyperinterp-manifest.json").write_bytes(manifest._serialise(entries, {"n": 1}))
    for number, path in enumerate(sorted(source.iterdir())):
        shutil.copy(path, blobs / str(number))
        (snapshot / path.name).symlink_to(f"../../blobs/{number}")
    asked = {}
    monkeypatch.setattr(
        hub, "snapshot_download", lambda name, **kw: asked.update(name=name, **kw) or str(snapshot)
    )
    loaded = load_checkpoint("owner/model", revision="v1")
    assert (loaded.source.kind, loaded.provenance) == ("hub", {"n": 1})
    assert torch.equal(
        logits(loaded.model, ids), logits(load_checkpoint(made / "whole").model, ids)
    )
    assert (asked["name"], asked["revision"]) == ("owner/model", "v1")
    assert not [p for p in asked["allow_patterns"] if p.endswith((".bin", ".py", ".pt", "*"))]
    for name in ("config.json", "hyperinterp-manifest.json"):
        (snapshot / name).unlink()
    (snapshot / "config.json").symlink_to("/etc/hostname")
    with pytest.raises(UnsafeFile, match="outside"):
        load_checkpoint("owner/model")


def test_hub_out_of_reach_is_one_clear_line(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(InputRefused, match="out of reach"):
        load_checkpoint("nobody/such-model-exists")


def test_a_tokenizer_can_be_loaded_anew_from_its_name(tmp_path):
    """transformer-lens does so, to have it begin texts; nothing of it gets into what is saved."""
    from transformer_lens.model_bridge import TransformerBridge

    folder = save_checkpoint(tiny_hf("llama"), byte_tokenizer(), tmp_path / "made", provenance={})
    found = load_checkpoint(folder)
    assert found.tokenizer.init_kwargs["name_or_path"] == str(folder)
    again = save_checkpoint(found.model, found.tokenizer, tmp_path / "again", provenance={})
    assert str(tmp_path) not in (again / "tokenizer_config.json").read_text(encoding="utf-8")
    ids = torch.tensor([[3, 4, 5]])
    plain = found.model(ids).logits  # the bridge takes the model apart
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        bridge = TransformerBridge.boot_transformers(
            "made", hf_model=found.model, tokenizer=found.tokenizer, device="cpu"
        )
    assert torch.allclose(bridge(ids), plain, atol=1e-5)
