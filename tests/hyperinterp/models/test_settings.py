"""Settings outside the weights: found, named, and carried with their components."""

import random

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, DynamicCache

from hyperinterp.errors import InputRefused
from hyperinterp.generation import generate
from hyperinterp.models import (
    Acts,
    Component,
    ComponentKind,
    HookedModel,
    blocks,
    differing_settings,
    patched,
)
from hyperinterp.text import TokenRows
from tests.hyperinterp.families import FAMILIES, GPT2, GRANITE, NEWER, SLIDING, SMALL, VOCAB

ROTARY = {"rope_type": "default", "rope_theta": 50.0}
WIDER = {"num_attention_heads": 8, "num_key_value_heads": 8, "head_dim": 4}
LONG = {
    "rope_type": "longrope",
    "rope_theta": 1e4,
    "short_factor": [1.0, 2.0, 3.0, 4.0],
    "long_factor": [2.0, 3.0, 5.0, 8.0],
    "original_max_position_embeddings": 10,
    "partial_rotary_factor": 1.0,
}
BANDS = {"low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 16}


def _scaled(kind, **more):
    return {"rope_parameters": {"rope_type": kind, "rope_theta": 1e4, "factor": 4.0, **more}}


LAYERS = ["full_attention", "sliding_attention", "full_attention"]
IN_BLOCKS = {
    "theta": ("llama", SMALL, {"rope_parameters": ROTARY}),
    "linear": ("llama", SMALL, _scaled("linear")),
    "yarn": ("llama", SMALL, _scaled("yarn", original_max_position_embeddings=16)),
    "dynamic": ("llama", SMALL | {"max_position_embeddings": 8}, _scaled("dynamic")),
    "llama3": ("llama", SMALL, _scaled("llama3", **BANDS)),
    "longrope": ("phi3", SMALL, {"rope_parameters": LONG}),
    "partial": ("phi", SMALL, {"rope_parameters": ROTARY | {"partial_rotary_factor": 1.0}}),
    "heads": ("llama", SMALL | {"num_key_value_heads": 4}, WIDER),
    "heads of slopes": ("mpt", NEWER["mpt"], {"n_heads": 8}),
    "a window": ("mistral", SMALL | {"sliding_window": None}, {"sliding_window": 4}),
    "another window": ("mistral", SMALL | {"sliding_window": 3}, {"sliding_window": 6}),
    "window inside the attention": ("gpt_neo", NEWER["gpt_neo"], {"window_size": 3}),
    "some windows": (
        "qwen2",
        SMALL,
        {"use_sliding_window": True, "sliding_window": 4, "max_window_layers": 1},
    ),
    "kinds of layer": ("gemma3_text", SMALL | SLIDING, {"layer_types": LAYERS}),
    "window of a multi-modal model": (
        "gemma3",
        FAMILIES["gemma3"],
        {"text_config": SMALL | SLIDING | {"sliding_window": 3}},
    ),
    "window with sinks": ("gpt_oss", NEWER["gpt_oss"], {"sliding_window": 3}),
    "blocks without positions": ("smollm3", SMALL, {"no_rope_layers": [0, 1, 0]}),
    "slopes": ("falcon", SMALL | {"alibi": True}, {"alibi": False}),
    "attention cap": ("gemma2", FAMILIES["gemma2"], {"attn_logit_softcapping": 1.0}),
    "query scale": ("gemma2", FAMILIES["gemma2"], {"query_pre_attn_scalar": 32}),
    "attention scale": ("granite", GRANITE, {"attention_multiplier": 0.2}),
    "no attention scale": ("gpt2", GPT2, {"scale_attn_weights": False}),
    "tables in the attention": ("gptj", GPT2 | {"rotary_dim": 4}, {"rotary_dim": 8}),
    "residual scale": ("granite", GRANITE, {"residual_multiplier": 0.2}),
    "activation": ("llama", SMALL, {"hidden_act": "gelu"}),
}
IN_HEAD = {
    "logit cap": ("gemma2", FAMILIES["gemma2"], {"final_logit_softcapping": 1.0}),
    "logit divisor": ("granite", GRANITE, {"logits_scaling": 8.0}),
    "logit factor": ("cohere", SMALL, {"logit_scale": 0.5}),
}
EVERY = blocks(range(3))


def _built(kind, config):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        hf = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **config)).eval()
        with torch.no_grad():
            for name, parameter in hf.named_parameters():
                parameter.add_(torch.randn_like(parameter) * 0.1)
                if parameter.ndim > 1 and "emb" not in name and "wte" not in name:
                    parameter.mul_(3)  # so that who attends to what decides the logits
    return hf


def pair(kind, config, changes):
    """Two models of equal weights, the second with other settings."""
    first, second = _built(kind, config), _built(kind, config | changes)
    second.load_state_dict(first.state_dict())
    return HookedModel(first, name="first"), HookedModel(second, name="second")


def both_ways(case):
    first, second = pair(*case)
    yield first, second
    yield second, first


def some_ids(rows=2, length=14):
    return torch.randint(3, VOCAB, (rows, length), generator=torch.Generator().manual_seed(1))


def written(model, ids, count=9):
    """Greedy texts, with a cache."""
    rows = TokenRows(tuple(map(tuple, ids.tolist())), tuple(range(len(ids))), ids.shape[1], 0)
    return generate(model, rows, new_tokens=count, stops=[])["greedy"].rows


def replayed(model, recording):
    with torch.no_grad():
        return model.readout(model.normalise(model.replay(recording, 0)))


@pytest.mark.parametrize("case", IN_BLOCKS)
def test_all_blocks_of_a_donor_with_other_settings_are_the_donor(case):
    ids = some_ids()
    for recipient, donor in both_ways(IN_BLOCKS[case]):
        own, wanted = recipient.logits(ids), donor.logits(ids)
        assert (own - wanted).abs().max() > 0.05
        text, recording = written(donor, ids), recipient.record(ids)
        with patched(recipient, donor, EVERY) as stitched:
            assert torch.allclose(stitched.logits(ids), wanted, atol=1e-5)
            assert torch.allclose(replayed(stitched, recording), wanted, atol=1e-5)
            assert torch.allclose(replayed(stitched, stitched.record(ids)), wanted, atol=1e-5)
            assert written(stitched, ids) == text
            assert torch.equal(donor.logits(ids), wanted)  # the donor itself stays what it was
        assert torch.equal(recipient.logits(ids), own)


@pytest.mark.parametrize(
    "case", [name for name in IN_BLOCKS if name not in ("residual scale", "activation")]
)
def test_attention_alone_takes_its_settings_along(case):
    ids = some_ids()
    recipient, donor = pair(*IN_BLOCKS[case])
    found = differing_settings(recipient, donor)
    assert {setting.acts for setting in found} == {Acts.ATTENTION}
    wanted, text = donor.logits(ids), written(donor, ids)
    with patched(
        recipient, donor, [Component(ComponentKind.ATTN, k) for k in range(3)]
    ) as stitched:
        assert torch.allclose(stitched.logits(ids), wanted, atol=1e-5)
        assert written(stitched, ids) == text


@pytest.mark.parametrize("case", IN_HEAD)
def test_an_unembedding_takes_scales_and_caps_along(case):
    ids = some_ids()
    for recipient, donor in both_ways(IN_HEAD[case]):
        own, wanted = recipient.logits(ids), donor.logits(ids)
        assert (own - wanted).abs().max() > 0.05
        hidden = donor.run(ids)
        with patched(recipient, donor, [Component(ComponentKind.UNEMBED)]) as stitched:
            assert torch.allclose(stitched.logits(ids), wanted, atol=1e-5)
            assert torch.allclose(stitched.readout(hidden), wanted, atol=1e-5)
            assert written(stitched, ids) == written(donor, ids)
        assert torch.equal(recipient.logits(ids), own)


def test_norms_are_carried_with_blocks_and_final_norm():
    ids = some_ids()
    for recipient, donor in both_ways(("llama", SMALL, {"rms_norm_eps": 0.1})):
        wanted = donor.logits(ids)
        with patched(recipient, donor, [*EVERY, Component(ComponentKind.FINAL_NORM)]) as stitched:
            assert torch.allclose(stitched.logits(ids), wanted, atol=1e-5)


@pytest.mark.parametrize("seed", range(4))
def test_weights_and_several_settings_at_once_in_any_split(seed):
    """Blocks from both: the rest of them from the other side gives the same logits."""
    draw = random.Random(seed)
    config = SMALL | {"num_key_value_heads": 4, "sliding_window": draw.choice([None, 5])}
    changes = {
        "rope_parameters": {"rope_type": "default", "rope_theta": draw.uniform(20, 1e5)},
        "sliding_window": draw.choice([3, 4, 7]),
        **draw.choice([{}, WIDER]),
    }
    first, second = pair("mistral", config, changes)
    with torch.no_grad():
        for parameter in second.hf.model.layers.parameters():
            parameter.mul_(1.1)
    chosen = sorted(draw.sample(range(3), draw.choice([1, 2])))
    others = [layer for layer in range(3) if layer not in chosen]
    ids = some_ids()
    with patched(first, second, blocks(chosen)) as stitched:
        logits, text = stitched.logits(ids), written(stitched, ids)
        with torch.no_grad():  # the whole text at once, where generation took a token at a time
            whole = torch.cat([ids, torch.tensor(text)], dim=1)
            assert torch.equal(stitched.logits(whole)[:, 13:-1].argmax(-1), torch.tensor(text))
    with patched(second, first, blocks(others)) as stitched:
        assert torch.allclose(stitched.logits(ids), logits, atol=1e-5)
        assert written(stitched, ids) == text


def test_nested_contexts_carry_from_two_donors():
    first, second = pair("llama", SMALL, {"rope_parameters": ROTARY})
    ids = some_ids()
    wanted = second.logits(ids)
    with patched(first, second, blocks([0])), patched(first, second, blocks([1, 2])) as h:
        assert torch.allclose(h.logits(ids), wanted, atol=1e-5)


def test_a_cache_with_windows_of_its_own_is_refused():
    first, second = pair("mistral", SMALL | {"sliding_window": 3}, {"sliding_window": 6})
    ids = some_ids()
    cache = DynamicCache(config=first.hf.config)
    with torch.no_grad():
        first.hf(ids, past_key_values=cache, use_cache=True)
    with (
        patched(first, second, EVERY) as stitched,
        torch.no_grad(),
        pytest.raises(InputRefused, match="begin with an empty one"),
    ):
        stitched.hf(ids[:, :1], past_key_values=cache, use_cache=True)


def test_logits_do_not_depend_on_the_texts_before():
    """transformers keeps tables of dynamic scaling grown; a text is read as by a fresh model."""
    kind, config, changes = IN_BLOCKS["dynamic"]
    _, fresh = pair(kind, config, changes)
    _, used = pair(kind, config, changes)
    ids = some_ids()
    used.logits(some_ids(1, 60))
    assert torch.equal(used.logits(ids), fresh.logits(ids))
    used.logits(some_ids(1, 60))
    assert written(used, ids) == written(pair(kind, config, changes)[1], ids)


def test_records_are_no_settings_and_unknown_ones_are():
    first, second = pair("llama", SMALL, {})
    second.hf.config.update(
        {
            "attention_dropout": 0.3, "initializer_range": 0.7,
            "transformers_version": "4.0", "use_cache": False, "pad_token_id": 7,
            "temperature": 0.3, "auto_map": {"A": "b"}, "unsloth_version": "1",
        }
    )  # fmt: skip
    assert differing_settings(first, second) == ()
    second.hf.config.update({"frobnication": 3, "eos_token_id": 5})
    found = {setting.name: setting for setting in differing_settings(first, second)}
    assert {name: setting.acts for name, setting in found.items()} == {
        "frobnication": Acts.UNKNOWN,
        "eos_token_id": Acts.TEXTS,
    }
    assert (found["frobnication"].ours, found["frobnication"].theirs) == (None, 3)


def test_the_longest_text_acts_only_where_positions_are_worked_out_from_it():
    longer = {"max_position_embeddings": 128}
    assert [it.acts for it in differing_settings(*pair("llama", SMALL, longer))] == [Acts.LIMIT]
    dynamic = SMALL | _scaled("dynamic")
    (found,) = differing_settings(*pair("llama", dynamic, longer))
    assert found.acts is Acts.ATTENTION


def test_what_was_changed_in_memory_is_found():
    first, second = pair("llama", SMALL, {})
    second.hf.model.rotary_emb.inv_freq.mul_(0.5)
    (found,) = differing_settings(first, second)
    assert (found.name, found.acts) == ("rotary_emb.inv_freq", Acts.ATTENTION)
    ids = some_ids()
    with patched(first, second, EVERY) as stitched:
        assert torch.allclose(stitched.logits(ids), second.logits(ids), atol=1e-5)
    one, other = pair("cohere", SMALL, {})
    other.hf.logit_scale = 3.0
    assert [it.acts for it in differing_settings(one, other)] == [Acts.READOUT]
