"""Hostile configurations, adapters and paths, refused before transformers sees them."""

import json
import os
import shutil

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from hyperinterp.checkpoints import (
    attaching,
    building,
    load_checkpoint,
    save_adapter,
    save_checkpoint,
    staging,
)
from hyperinterp.checkpoints.adapters import screen_adapter_config
from hyperinterp.checkpoints.screen import (
    MAX_CONFIG_BYTES,
    Screened,
    parse_json,
    screen_model_config,
    screen_tokenizer_config,
)
from hyperinterp.errors import (
    CorruptFile,
    InputRefused,
    MismatchedPair,
    NumericalFault,
    UnsafeFile,
)
from tests.hyperinterp.checkpoints import trust_rows
from tests.hyperinterp.checkpoints.conftest import logits, make_adapter, make_model
from tests.hyperinterp.checkpoints.hostile_configs import (
    ADAPTERS,
    CONFIGS,
    LEFT_OUT,
    TOKENIZERS,
    UNRUN,
    change_adapter,
    change_json,
    copy_foreign,
)


@pytest.mark.parametrize("name", sorted(CONFIGS))
def test_hostile_config_is_refused_before_transformers_sees_it(made, tmp_path, name, monkeypatch):
    copy_foreign(made / "whole", tmp_path, **CONFIGS[name])
    seen = []
    monkeypatch.setattr(building, "read_config", lambda root: seen.append(root))
    row = trust_rows.outcome(lambda: load_checkpoint(tmp_path))
    assert row["refused"], row
    assert row["one_line"], row
    assert seen == []


def test_control_without_the_screen_transformers_does_see_it(made, tmp_path, monkeypatch):
    copy_foreign(made / "whole", tmp_path, **CONFIGS["attn repository"])
    seen = []
    monkeypatch.setattr(building, "read_config", lambda root: seen.append(root) or 1 / 0)
    monkeypatch.setattr(staging, "screen_model_config", lambda value, what: Screened(dict(value)))
    with pytest.raises(InputRefused):
        load_checkpoint(tmp_path)
    assert len(seen) == 1


def test_json_caps(tmp_path):
    with pytest.raises(UnsafeFile, match="deeper"):
        parse_json('{"a":' * 100 + "1" + "}" * 100, "x")
    with pytest.raises(UnsafeFile, match="deeper"):
        parse_json('{"a":' + "[" * 200_000 + "]" * 200_000 + "}", "x")
    with pytest.raises(UnsafeFile, match="twice"):
        parse_json('{"a": 1, "a": 2}', "x")
    with pytest.raises(UnsafeFile, match="object"):
        parse_json("[1]", "x")
    for text in ("{", "", "{'a': 1}", '{"a": ' + "9" * 5000 + "}"):
        with pytest.raises(CorruptFile):
            parse_json(text, "x")
    (tmp_path / "config.json").write_bytes(b" " * (MAX_CONFIG_BYTES + 1))
    with pytest.raises(UnsafeFile, match="larger"):
        staging.read_text(tmp_path / "config.json", MAX_CONFIG_BYTES)
    (tmp_path / "config.json").write_bytes(b"\xff\xfe")
    with pytest.raises(CorruptFile, match="UTF-8"):
        staging.read_text(tmp_path / "config.json", 10)


def test_ordinary_configs_pass():
    for kind in ("llama", "gpt2", "gpt_neox", "gemma2", "qwen2", "mistral", "mixtral", "opt"):
        config = transformers.AutoConfig.for_model(kind).to_dict()
        screen_model_config(json.loads(json.dumps(config)))
        labels = {0: "no", 1: "yes"}  # as to_dict numbers them
        assert screen_model_config(config | {"id2label": labels}).config["id2label"] == labels
    screen_model_config({"model_type": "llama", "_attn_implementation": "flash_attention_2"})
    screen_tokenizer_config({"tokenizer_class": "LlamaTokenizer", "auto_map": None})


@pytest.mark.parametrize("name", sorted(TOKENIZERS))
def test_hostile_tokenizer_config(made, tmp_path, name):
    copy_foreign(made / "whole", tmp_path)
    change_json(tmp_path / "tokenizer_config.json", TOKENIZERS[name])
    with pytest.raises(UnsafeFile):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize("name", sorted(LEFT_OUT))
def test_code_is_left_out_and_the_rest_works(made, ids, tmp_path, name, monkeypatch):
    file, changes = LEFT_OUT[name]
    copy_foreign(made / "whole", tmp_path)
    change_json(tmp_path / file, changes)
    seen = {}
    honest = building.read_config

    def watched(root):
        seen.update({p.name: p.read_text() for p in root.iterdir() if p.suffix == ".json"})
        return honest(root)

    monkeypatch.setattr(building, "read_config", watched)
    loaded = load_checkpoint(tmp_path)
    assert "evil" not in "".join(seen[n] for n in seen if n != "model.safetensors").lower()
    assert torch.equal(logits(loaded.model, ids), logits(make_model(), ids))
    told = any("never loaded" in note for note in loaded.notes)
    assert (
        told is any(key in changes for key in ("auto_map", "custom_generate"))
        or "generation" in name
    )


@pytest.mark.parametrize("name", sorted(UNRUN))
def test_patterns_of_an_adapter_are_never_run(made, ids, tmp_path, name, monkeypatch):
    change_adapter(made / "adapter", tmp_path / "a", **UNRUN[name])
    seen, honest = [], attaching.LoraConfig
    monkeypatch.setattr(attaching, "LoraConfig", lambda **kw: seen.append(kw) or honest(**kw))
    loaded = load_checkpoint(tmp_path / "a")
    assert torch.equal(
        logits(loaded.model, ids), logits(load_checkpoint(made / "adapter").model, ids)
    )
    assert not set("(+$*") & set(repr(seen[0]["target_modules"]) + repr(seen[0]["rank_pattern"]))
    assert not {"exclude_modules", "layers_pattern", "auto_mapping"} & set(seen[0])


@pytest.mark.parametrize("text", ["{}", "[]", '{"model": {"type": "Evil"}}', "\0\0", "{" * 99_999])
def test_broken_tokenizer_json_is_one_clear_error(made, tmp_path, text):
    copy_foreign(made / "whole", tmp_path)
    (tmp_path / "tokenizer.json").write_text(text)
    row = trust_rows.outcome(lambda: load_checkpoint(tmp_path))
    assert row["refused"], row
    assert row["one_line"], row


def test_config_that_asks_for_more_weights_than_there_are(made, tmp_path):
    copy_foreign(made / "whole", tmp_path, num_hidden_layers=1000)
    with pytest.raises(UnsafeFile, match="describes"):
        load_checkpoint(tmp_path)
    copy_foreign(made / "whole", tmp_path, intermediate_size=32, num_hidden_layers=3)
    with pytest.raises((UnsafeFile, CorruptFile)):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize("name", sorted(ADAPTERS))
def test_hostile_adapter_is_refused_before_peft_sees_it(made, tmp_path, name, monkeypatch):
    change_adapter(made / "adapter", tmp_path / "a", **ADAPTERS[name])
    seen = []
    monkeypatch.setattr(attaching, "LoraConfig", lambda **kw: seen.append(kw))
    row = trust_rows.outcome(lambda: load_checkpoint(tmp_path / "a"))
    assert row["refused"], row
    assert row["one_line"], row
    assert row["cpu_seconds"] < 5
    assert seen == []


def test_ordinary_adapters_pass():
    plain = {"peft_type": "LORA", "r": 8, "target_modules": ["q_proj"]}
    assert screen_adapter_config({**plain, "new_option": None}) == plain
    screen_adapter_config({**plain, "target_modules": "all-linear", "use_dora": True})
    screen_adapter_config({**plain, "rank_pattern": {"model.layers.1.q_proj": 4}})


def test_adapter_on_the_wrong_base(made, tokenizer, tmp_path):
    save_checkpoint(make_model(7), tokenizer, tmp_path / "other", provenance={})
    with pytest.raises(MismatchedPair, match="fingerprint"):
        load_checkpoint(made / "adapter", base=tmp_path / "other")
    change_adapter(made / "adapter", tmp_path / "foreign")  # no manifest: shapes still decide
    load_checkpoint(tmp_path / "foreign", base=tmp_path / "other")
    save_checkpoint(make_model(7, hidden=64), tokenizer, tmp_path / "wide", provenance={})
    with pytest.raises(MismatchedPair, match="has shape"):
        load_checkpoint(tmp_path / "foreign", base=tmp_path / "wide")
    save_checkpoint(make_model(7, layers=1), tokenizer, tmp_path / "short", provenance={})
    with pytest.raises(MismatchedPair):
        load_checkpoint(tmp_path / "foreign", base=tmp_path / "short")
    with pytest.raises(MismatchedPair, match="itself an adapter"):
        load_checkpoint(tmp_path / "foreign", base=made / "adapter")
    with pytest.raises(InputRefused, match="adapters only"):
        load_checkpoint(made / "whole", base=made / "untied")


def test_adapter_tensors_that_do_not_fit(made, tmp_path):
    change_adapter(made / "adapter", tmp_path / "a")
    path = tmp_path / "a" / "adapter_model.safetensors"
    weights = load_file(path)
    name = sorted(weights)[0]
    save_file({**weights, "base_model.model.extra": weights[name].clone()}, path)
    with pytest.raises(MismatchedPair, match="no place for"):
        load_checkpoint(tmp_path / "a")
    save_file({n: t for n, t in weights.items() if n != name}, path)
    with pytest.raises(MismatchedPair, match="lacks"):
        load_checkpoint(tmp_path / "a")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_nan_in_weights_names_the_tensor(made, tokenizer, tmp_path, value, monkeypatch):
    model = make_model()
    model.model.layers[1].mlp.up_proj.weight.data[3, 5] = value
    with pytest.raises(NumericalFault, match=r"layers\.1\.mlp\.up_proj"):
        save_checkpoint(model, tokenizer, tmp_path / "bad", provenance={})
    assert not (tmp_path / "bad").exists()
    model.save_pretrained(tmp_path / "foreign")
    with pytest.raises(NumericalFault, match=r"layers\.1\.mlp\.up_proj"):
        load_checkpoint(tmp_path / "foreign")
    monkeypatch.setattr(building, "check_finite", lambda model, what: None)  # positive control
    load_checkpoint(tmp_path / "foreign")


def test_nan_in_adapter_is_never_saved(made, tokenizer, tmp_path):
    adapted = make_adapter(load_checkpoint(made / "whole").model)
    next(p for n, p in adapted.named_parameters() if "lora_A" in n).data[0, 0] = float("nan")
    facts = {"base_name": "smollm2", "base_fingerprint": "x"}
    with pytest.raises(NumericalFault, match="lora_A"):
        save_adapter(adapted, tokenizer, tmp_path / "a", provenance=facts)


@pytest.mark.parametrize(
    "shard", ["../secret.safetensors", "/etc/x.safetensors", "a/b.safetensors", "x.bin", ".."]
)
def test_shard_index_that_leaves_the_directory(made, tmp_path, shard):
    copy_foreign(made / "whole", tmp_path / "m")
    shutil.move(tmp_path / "m" / "model.safetensors", tmp_path / "secret.safetensors")
    index = {"metadata": {}, "weight_map": {"lm_head.weight": shard}}
    (tmp_path / "m" / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(UnsafeFile):
        load_checkpoint(tmp_path / "m")


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
def test_symlink_that_leaves_the_directory(made, tmp_path, name, monkeypatch):
    copy_foreign(made / "whole", tmp_path / "m")
    shutil.move(tmp_path / "m" / name, tmp_path / name)
    (tmp_path / "m" / name).symlink_to(tmp_path / name)
    with pytest.raises(UnsafeFile, match="outside"):
        load_checkpoint(tmp_path / "m")
    monkeypatch.setattr(staging, "within", lambda root, path: path.resolve())  # positive control
    load_checkpoint(tmp_path / "m")


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json"])
def test_special_files_are_refused_without_waiting(made, tmp_path, name):
    copy_foreign(made / "whole", tmp_path / "m")
    (tmp_path / "m" / name).unlink()
    os.mkfifo(tmp_path / "m" / name)
    with pytest.raises(UnsafeFile, match="regular"):
        load_checkpoint(tmp_path / "m")


def test_a_safetensors_file_under_a_pickles_name_is_said(made, tmp_path):
    copy_foreign(made / "whole", tmp_path)
    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(InputRefused, match=r"found a safetensors file; give it a name"):
        load_checkpoint(tmp_path)
