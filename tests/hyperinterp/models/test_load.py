"""`load` in every dtype and from every kind of file, with the figures that follow from it."""

import copy
import warnings
from dataclasses import replace

import gguf
import numpy as np
import peft
import pytest
import torch
from transformers import AutoModelForCausalLM

from hyperinterp.checkpoints import load_checkpoint, save_adapter, save_checkpoint
from hyperinterp.comparison import compare
from hyperinterp.errors import InputRefused, UnsupportedModel
from hyperinterp.generation import continue_text, generate
from hyperinterp.models import HookedModel, checked, load, placement, self_check
from hyperinterp.models.checks import TOLERANCE
from hyperinterp.models.load import pick_device
from hyperinterp.sizes import Sizes
from hyperinterp.text import TokenRows
from hyperinterp.training import TrainConfig, train
from tests.hyperinterp.families import (
    FAMILIES,
    NEWER,
    VARIANTS,
    make_hf,
    make_tiny,
    word_tokenizer,
)
from tests.hyperinterp.training.factory import byte_tokenizer, letters, tiny_hf

IDS = torch.tensor([[4, 9, 33, 57, 12, 80, 5, 41]])
HALVES = {"bfloat16": 0.1, "float16": 0.02}


def logits(model, ids=IDS):
    with torch.no_grad():
        return model(input_ids=ids, use_cache=False).logits.float()


def saved(name, folder, seed=0):
    return save_checkpoint(make_hf(name, seed), word_tokenizer(), folder, provenance={})


# -- dtypes and attention ----------------------------------------------------------------------


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("name", ["llama", "gpt2", "gemma2", "bloom", "qwen2_moe"])
def test_half_precision_passes_its_checks_and_stays_near_float32(name, dtype, tmp_path):
    where = saved(name, tmp_path / "m")
    whole, half = load(where, device="cpu"), load(where, dtype=dtype, device="cpu")
    assert half.dtype == getattr(torch, dtype)
    expected = whole.logits(IDS)
    apart = (half.logits(IDS).float() - expected).abs().max() / expected.abs().max()
    assert 0 < apart < HALVES[dtype]
    assert self_check(half).lens <= TOLERANCE[half.dtype]


def test_the_name_of_a_dtype_is_checked(tmp_path):
    with pytest.raises(InputRefused, match="dtype: expected one of float32"):
        load(saved("llama", tmp_path / "m"), dtype="float8", device="cpu")


SIZES = Sizes(
    prompts=10, context_tokens=12, new_tokens=24, contexts_per_prompt=4, order_contexts=8,
    lens_contexts=2, components=False, variants=(),
)  # fmt: skip


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_sdpa_and_eager_give_the_same_figures(family, tmp_path):
    """Tolerance: 1e-4 of an effect; the verdicts are the same."""
    for role, seed in (("base", 0), ("fitted", 1)):
        save_checkpoint(tiny_hf(family, seed), byte_tokenizer(), tmp_path / role, provenance={})
    found = {}
    for attention in ("sdpa", "eager"):
        pair = []
        for role in ("base", "fitted"):
            one = load_checkpoint(tmp_path / role, attn_implementation=attention)
            assert one.model.config._attn_implementation == attention
            pair.append(HookedModel(one.model, one.tokenizer, name=role))
        report = compare(*pair, prompts=letters(10), claims="C4,C5", sizes=SIZES)
        found[attention] = report.claims
    for name in ("C4", "C5"):
        ours, theirs = found["sdpa"][name], found["eager"][name]
        assert ours.verdict == theirs.verdict
        assert ours.effect == pytest.approx(theirs.effect, rel=1e-4, abs=1e-4)


def test_texts_beyond_learned_positions_are_refused(tmp_path):
    base = HookedModel(tiny_hf("gpt2", 0), byte_tokenizer(), name="short")
    assert base.position_limit == 64
    assert HookedModel(tiny_hf("opt", 0), name="opt").position_limit == 64
    assert HookedModel(tiny_hf("llama", 0), name="llama").position_limit is None
    with pytest.raises(InputRefused, match=r"at most 64 tokens .* found a need for 108"):
        compare(base, base, prompts=letters(10), claims="C1", sizes=replace(SIZES, new_tokens=96))
    with pytest.raises(InputRefused, match=r"at most 64 tokens .* found a need for 110"):
        continue_text(base, "a" * 100, new_tokens=10)
    with pytest.raises(
        InputRefused, match=r"at most 64 tokens .* found a need for 70; choose fewer seq_"
    ):
        train(
            base,
            letters(2, least=80, most=90),
            tmp_path / "t",
            TrainConfig(seq_len=70, blocks="last:2"),
        )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", [*FAMILIES, *VARIANTS, *NEWER])
def test_every_family_knows_how_many_positions_it_has(name):
    model = make_tiny(name)
    limit = model.position_limit
    assert limit in (None, 64)
    with torch.no_grad():
        model.hf(input_ids=torch.full((1, limit or 90), 5), use_cache=False)
    row = TokenRows(((5,) * 60,), (0,), 60, 0)
    if limit is None:
        assert generate(model, row, new_tokens=30)
        return
    generate(model, row, new_tokens=4)
    with pytest.raises(InputRefused, match=r"at most 64 tokens .* found a need for 65"):
        generate(model, row, new_tokens=5)


# -- kinds of files ----------------------------------------------------------------------------


def test_shards_give_the_whole_models_logits(tmp_path):
    hf = make_hf("qwen2")
    hf.save_pretrained(tmp_path / "s", max_shard_size="20KB")
    assert len(list((tmp_path / "s").glob("*.safetensors"))) > 1
    assert torch.equal(load(tmp_path / "s", device="cpu").logits(IDS), logits(hf))


def write_gguf(hf, path, kind):
    """A Qwen 2 model as GGUF, matrices in `kind`; returns the weights as they were stored."""
    config = hf.config
    writer = gguf.GGUFWriter(path, "qwen2")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(64)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    vocabulary = byte_tokenizer().get_vocab()
    tokens = sorted(vocabulary, key=vocabulary.__getitem__)
    tokens += ["ab", "<|endoftext|>"]  # the latter is added where a Qwen tokenizer has none
    tokens += [f"<unused{n}>" for n in range(config.vocab_size - len(tokens))]
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_types([1] * 256 + [3] * (len(tokens) - 256))
    writer.add_token_merges(["a b"])
    writer.add_bos_token_id(256)
    writer.add_eos_token_id(257)
    names = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
    inside = {
        "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm",
        "post_attention_layernorm": "ffn_norm",
    }  # fmt: skip
    for layer in range(config.num_hidden_layers):
        names |= {f"model.layers.{layer}.{a}": f"blk.{layer}.{b}" for a, b in inside.items()}
    stored = {}
    for name, tensor in hf.state_dict().items():
        module, _, leaf = name.rpartition(".")
        array = tensor.numpy().astype(np.float32)
        plain = array.ndim == 1 or array.shape[-1] % 32
        chosen = gguf.GGMLQuantizationType.F32 if plain else kind
        packed = gguf.quants.quantize(array, chosen)
        writer.add_tensor(f"{names[module]}.{leaf}", packed, raw_dtype=chosen)
        stored[name] = torch.from_numpy(gguf.quants.dequantize(packed, chosen).copy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return stored


@pytest.mark.parametrize("kind", ["F32", "Q8_0", "Q4_0"])
def test_a_quantised_gguf_is_analysed_as_the_weights_that_it_stores(kind, tmp_path):
    hf = tiny_hf("qwen2")
    stored = write_gguf(hf, tmp_path / "m.gguf", gguf.GGMLQuantizationType[kind])
    expected = copy.deepcopy(hf)
    expected.load_state_dict(stored)
    model = load(tmp_path / "m.gguf", device="cpu")
    assert torch.allclose(model.logits(IDS), logits(expected), atol=1e-5)
    changed = not torch.allclose(logits(expected), logits(hf), atol=1e-4)
    assert changed is (kind != "F32")
    assert self_check(model).lens < 1e-6


# -- adapters ----------------------------------------------------------------------------------

ADAPTERS = {
    "LoRA": {},
    "DoRA": {"use_dora": True},
    "rsLoRA": {"use_rslora": True},
    "biases": {"bias": "all"},
    "a saved head": {"modules_to_save": ["lm_head"]},
    "saved embeddings": {"modules_to_save": ["embed_tokens", "lm_head"]},
}


@pytest.mark.parametrize("kind", ADAPTERS)
def test_adapters_merged_and_live_give_pefts_logits_and_pass_the_checks(kind, tmp_path):
    where = saved("qwen2", tmp_path / "base")
    base = load_checkpoint(where)
    torch.manual_seed(1)
    config = peft.LoraConfig(
        r=4, target_modules=["q_proj", "down_proj"], task_type="CAUSAL_LM", **ADAPTERS[kind]
    )
    adapted = peft.get_peft_model(load_checkpoint(where).model, config).eval()
    with torch.no_grad():
        for weight in adapted.parameters():
            if weight.requires_grad:
                weight.add_(0.1 * torch.randn_like(weight))
    facts = {"base_name": str(where), "base_fingerprint": base.fingerprint}
    save_adapter(adapted, word_tokenizer(), tmp_path / "a", provenance=facts)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        plain = AutoModelForCausalLM.from_pretrained(where, dtype=torch.float32)
        theirs = logits(peft.PeftModel.from_pretrained(plain, tmp_path / "a").eval())
    assert not torch.allclose(theirs, logits(base.model), atol=1e-2)
    merged = load(tmp_path / "a", device="cpu")
    assert torch.allclose(merged.logits(IDS), theirs, atol=2e-5)
    live = HookedModel(load_checkpoint(tmp_path / "a", merge=False).model)
    assert torch.equal(live.logits(IDS), theirs)
    assert self_check(live).replay < 1e-6
    assert (live.d_model, live.vocab_size) == (merged.d_model, merged.vocab_size)


# -- devices -----------------------------------------------------------------------------------


def test_auto_takes_a_device_that_is_there_and_others_are_refused(tmp_path):
    where = saved("llama", tmp_path / "m")
    assert load(where, device="auto").device.type in ("cpu", "cuda")
    for name in ("balanced", "sequential", "disk", "cuda:99"):
        with pytest.raises(InputRefused, match="device: expected one that torch has here"):
            load(where, device=name)


def test_a_mac_computes_on_its_cpu_unless_its_card_is_named(monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert pick_device("auto") in ("cpu", "cuda")
    with monkeypatch.context() as made:
        made.setattr(torch, "empty", lambda *_size, **_where: None)
        assert [pick_device(name) for name in ("mps", "mps:0")] == ["mps", "mps:0"]
    with pytest.raises(InputRefused, match="device: expected one that torch has here, found 'mps'"):
        pick_device("mps")  # this torch was built without it


def test_what_has_no_float64_is_not_one_of_several_devices(tmp_path, monkeypatch):
    hf = make_hf()
    model = HookedModel(hf)
    monkeypatch.setattr(placement, "devices_of", lambda _module: ("mps:0", "cpu"))
    for act in (lambda: HookedModel(hf), lambda: checked(model)):  # moved after it was wrapped
        with pytest.raises(InputRefused, match="device map: expected cpu or cuda, found 'mps:0'"):
            act()
    with pytest.raises(InputRefused, match="device map: expected cpu or cuda, found 'mps'"):
        load(saved("llama", tmp_path / "m"), device_map={"": "mps"})


def test_a_device_map_leaves_mps_out(tmp_path, monkeypatch):
    room = {"mps": 2**40, "cpu": 2**40}
    monkeypatch.setattr(placement, "get_max_memory", lambda: dict(room))
    for way in ("auto", "sequential"):
        assert load(saved("llama", tmp_path / way), device_map=way).device.type == "cpu"


def test_a_model_that_accelerate_put_on_one_device_is_taken(tmp_path):
    where = saved("llama", tmp_path / "m")
    placed = AutoModelForCausalLM.from_pretrained(where, device_map={"": "cpu"})
    model = HookedModel(placed)
    assert self_check(model).replay < 1e-6
    assert torch.equal(model.logits(IDS), load(where, device="cpu").logits(IDS))


def test_weights_on_several_devices_with_nothing_that_moves_the_stream_are_refused(tmp_path):
    where = saved("llama", tmp_path / "m")
    split = AutoModelForCausalLM.from_pretrained(where)
    split.model.layers[1].to("meta")
    with pytest.raises(UnsupportedModel, match="one device, or spread by device_map, found cpu, m"):
        HookedModel(split)
