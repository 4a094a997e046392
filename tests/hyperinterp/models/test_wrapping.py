"""Models in memory: measured as their weights are, left as they were, or refused in one line."""

import copy
import functools
import types
import warnings

import peft
import pytest
import torch
import transformers
from torch import nn
from transformers import AutoModelForCausalLM

from hyperinterp.checkpoints import save_checkpoint
from hyperinterp.errors import HyperinterpError, InputRefused, UnsupportedModel
from hyperinterp.models import HookedModel, as_hooked, checked, load, taken
from tests.hyperinterp.families import make_hf, word_tokenizer

IDS = torch.tensor([[4, 9, 33, 57, 12, 80, 5, 41], [7, 8, 3, 44, 60, 21, 90, 15]])


def logits(model):
    with torch.no_grad():
        return model(input_ids=IDS, use_cache=False, return_dict=True).logits


def adapted(hf, *, seed=1, **options):
    """The same module under a LoRA adapter whose weights are drawn."""
    config = {"r": 4, "target_modules": ["q_proj", "down_proj"], "task_type": "CAUSAL_LM"}
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.manual_seed(seed)
        model = peft.get_peft_model(hf, peft.LoraConfig(**config | options))
        for weight in model.parameters():
            if weight.requires_grad:
                weight.add_(0.2 * torch.randn_like(weight))
    return model


def state(model):
    """All that an owner may look at: weights, modes, flags, hooks and settings."""
    modules = dict(model.named_modules())
    return (
        {name: (id(t), t.clone(), t.requires_grad) for name, t in model.named_parameters()},
        {name: (id(m), m.training, list(m._forward_hooks)) for name, m in modules.items()},
        [m.config.to_dict() for m in modules.values() if hasattr(m, "config")],
    )


def unchanged(before, model):
    weights, modules, configs = state(model)
    assert modules == before[1]
    assert configs == before[2]
    assert weights.keys() == before[0].keys()
    for name, (identity, tensor, flag) in weights.items():
        assert (identity, flag) == (before[0][name][0], before[0][name][2])
        assert torch.equal(tensor, before[0][name][1])


# -- views -------------------------------------------------------------------------------------


SOME = (
    "llama", "gpt2", "gpt_neox", "gemma3", "phi3", "opt", "falcon", "bloom", "mixtral", "gpt_oss",
    "deepseek_v3", "mpt", "codegen", "xglm",
)  # fmt: skip


@pytest.mark.parametrize("family", SOME)
def test_a_view_computes_what_the_model_computes_over_the_same_weights(family):
    model = make_hf(family)
    expected = logits(model)
    model.train()
    before = state(model)
    held = as_hooked(model)
    assert torch.equal(held.logits(IDS), expected)
    assert not held.hf.training
    ours = {weight.data_ptr() for weight in held.hf.parameters()}
    assert ours == {weight.data_ptr() for weight in model.parameters()}
    assert not {id(m) for m in held.hf.modules()} & {id(m) for m in model.modules()}
    unchanged(before, model)


@pytest.mark.parametrize("family", ["llama", "gpt2", "mixtral", "llama, tied embeddings", "bloom"])
def test_fingerprints_in_memory_are_those_of_the_files(family, tmp_path):
    model = make_hf(family)
    save_checkpoint(model, None, tmp_path / "m", provenance={})
    assert as_hooked(model).fingerprint == load(tmp_path / "m", device="cpu").fingerprint
    with torch.no_grad():
        next(iter(model.parameters()))[0, 0] += 1
    assert as_hooked(model).fingerprint != load(tmp_path / "m", device="cpu").fingerprint


def with_settings(model):
    model.config.use_cache = False
    model.config.output_hidden_states = True
    model.config.return_dict = False
    model.set_attn_implementation("eager")
    model.gradient_checkpointing_enable()
    model.generation_config.max_length = 3
    model.train()


def test_settings_of_calls_change_nothing():
    model = make_hf()
    expected = as_hooked(model).logits(IDS)
    with_settings(model)
    before = state(model)
    held = checked(as_hooked(model))
    assert torch.equal(held.logits(IDS), expected)
    unchanged(before, model)
    assert model.config.return_dict is False
    assert model.model.layers[0].self_attn.config._attn_implementation == "eager"


def test_an_attention_kernel_that_is_not_here_is_not_asked_for():
    model = make_hf()
    expected = as_hooked(model).logits(IDS)
    model.config._attn_implementation_internal = "flash_attention_2"
    assert torch.equal(as_hooked(model).logits(IDS), expected)


def test_attention_of_somebodys_own_is_refused_with_both_ways_out():
    model = make_hf()
    transformers.AttentionInterface.register("mine", lambda *_args, **_named: None)
    model.config._attn_implementation_internal = "mine"
    with pytest.raises(UnsupportedModel, match=r"'mine'; call model\.set_attn_implementation"):
        as_hooked(model)


def test_hooks_are_left_out_with_a_note_and_keep_working():
    model = make_hf()
    expected = as_hooked(model).logits(IDS)
    calls = []
    model.model.layers[1].register_forward_hook(lambda *_: calls.append(1))
    model.lm_head.register_forward_pre_hook(lambda _m, given: (given[0] * 2,))
    model.enable_input_require_grads()  # transformers' own hook is no change of the model
    held = as_hooked(model)
    assert torch.equal(held.logits(IDS), expected)
    assert not calls
    (note,) = held.notes
    assert "forward hooks on 2 of its modules (the first is model.layers.1)" in note
    assert not torch.equal(logits(model), expected)
    assert calls


def double(module, *given, **named):
    return 2 * type(module).forward(module, *given, **named)


def test_a_bound_forward_is_part_of_the_model():
    model = make_hf()
    mlp = model.model.layers[0].mlp
    mlp.forward = types.MethodType(double, mlp)
    held = as_hooked(model)
    assert torch.equal(held.logits(IDS), logits(model))
    assert held.hf.model.layers[0].mlp.forward.__self__ is held.hf.model.layers[0].mlp
    assert not torch.equal(held.logits(IDS), as_hooked(make_hf()).logits(IDS))


def test_a_replaced_forward_is_refused_and_measured_as_it_is_on_request():
    model = make_hf()
    mlp = model.model.layers[0].mlp
    mlp.forward = functools.partial(double, mlp)
    with pytest.raises(UnsupportedModel, match=r"LlamaMLP at 'model.layers.0.mlp'.*HookedModel"):
        as_hooked(model)
    assert torch.equal(HookedModel(model).logits(IDS), logits(model))


def test_a_compiled_forward_and_mixed_precision_of_accelerate_stay_behind():
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    plain = as_hooked(make_hf()).logits(IDS)
    model = make_hf()
    model.forward = torch.compile(model.forward)
    model.model.layers[0] = torch.compile(model.model.layers[0])
    model.compile()
    assert torch.equal(as_hooked(model).logits(IDS), plain)
    AcceleratorState._reset_state()  # an earlier test's, of another precision
    prepared = Accelerator(cpu=True, mixed_precision="bf16").prepare_model(make_hf())
    AcceleratorState._reset_state()
    assert torch.equal(as_hooked(prepared).logits(IDS), plain)


def test_a_hooked_model_in_training_mode_is_measured_at_rest():
    hf = make_hf("gpt2")  # has dropout
    held = HookedModel(hf, name="mine")
    expected = held.logits(IDS)
    hf.train()
    assert torch.equal(as_hooked(held).logits(IDS), expected)
    assert hf.training
    hf.eval()
    assert as_hooked(held) is held


# -- containers --------------------------------------------------------------------------------


def bridged(hf, tokenizer=None):
    from transformer_lens.model_bridge.sources import build_bridge_from_module

    return build_bridge_from_module(
        hf, type(hf).__name__, hf_config=hf.config, tokenizer=tokenizer, device="cpu"
    )


@pytest.mark.parametrize("wrap", [torch.compile, nn.DataParallel], ids=["compiled", "parallel"])
@pytest.mark.parametrize("with_adapter", [False, True])
def test_wrappers_are_taken_off(wrap, with_adapter):
    model = make_hf()
    model = adapted(model) if with_adapter else model
    expected = as_hooked(model).logits(IDS)
    assert torch.equal(as_hooked(wrap(model)).logits(IDS), expected)


@pytest.mark.parametrize("family", ["llama", "gpt2", "falcon", "opt", "mixtral"])
def test_a_bridge_is_measured_as_the_model_inside_it(family):
    expected = as_hooked(make_hf(family))
    bridge = bridged(make_hf(family))
    held = checked(as_hooked(bridge))
    assert torch.equal(held.logits(IDS), expected.logits(IDS))
    assert held.fingerprint == expected.fingerprint
    assert not any("transformer_lens" in type(m).__module__ for m in held.hf.modules())
    assert not held.notes
    assert torch.allclose(bridge(IDS), expected.logits(IDS), atol=1e-4)


def test_hooks_on_a_bridge_are_noted():
    bridge = bridged(make_hf())
    bridge.add_hook("blocks.1.hook_out", lambda tensor, hook: tensor * 0)
    (note,) = as_hooked(bridge).notes
    assert "forward hooks on 1 of its modules" in note


def test_a_bridge_in_compatibility_mode_is_refused_unless_its_weights_are_raw():
    expected = as_hooked(make_hf()).logits(IDS)
    bridge = bridged(make_hf())
    bridge.enable_compatibility_mode(no_processing=True)
    assert torch.equal(as_hooked(bridge).logits(IDS), expected)
    bridge = bridged(make_hf())
    bridge.enable_compatibility_mode()
    with pytest.raises(InputRefused, match=r"compatibility mode.*leave enable_compatibility_mode"):
        as_hooked(bridge)


class StandardizedTransformer:
    """As nnterp keeps it under the nnsight that it needs: the model lies in `_model`."""

    def __init__(self, model, tokenizer):
        self._model = model
        self.tokenizer = tokenizer


StandardizedTransformer.__module__ = "nnterp.standardized_transformer"


def test_nnterp_and_pipelines_give_model_and_tokenizer():
    expected, tokenizer = as_hooked(make_hf()).logits(IDS), word_tokenizer()
    pipeline = transformers.pipeline("text-generation", make_hf(), tokenizer=tokenizer)
    for given in (StandardizedTransformer(make_hf(), tokenizer), pipeline):
        held = as_hooked(given)
        assert torch.equal(held.logits(IDS), expected)
        assert held.tokenizer is tokenizer
        other = word_tokenizer()
        assert as_hooked(given, tokenizer=other).tokenizer is other


# -- adapters ----------------------------------------------------------------------------------

KINDS = {
    "LoRA": {},
    "DoRA": {"use_dora": True},
    "rsLoRA": {"use_rslora": True},
    "biases": {"bias": "all"},
    "a saved head": {"modules_to_save": ["lm_head"]},
    "a pattern": {"target_modules": r".*\.(q_proj|down_proj)"},
    "new tokens": {"trainable_token_indices": [3, 4]},
    "embeddings": {"target_modules": ["embed_tokens", "q_proj"]},
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_live_adapter_is_measured_as_peft_computes_and_left_alone(kind):
    model = adapted(make_hf("qwen2"), **KINDS[kind]).train()
    before = state(model)
    expected = logits(copy.deepcopy(model).eval())
    held = checked(as_hooked(model))
    assert torch.allclose(held.logits(IDS), expected, atol=5e-6)
    assert not torch.allclose(held.logits(IDS), logits(make_hf("qwen2")), atol=1e-2)
    assert not any(
        isinstance(m, peft.tuners.tuners_utils.BaseTunerLayer) for m in held.hf.modules()
    )
    unchanged(before, model)


@pytest.mark.parametrize("kind", ["LoRA", "DoRA", "rsLoRA"])
def test_live_and_named_adapters_are_the_same_to_the_bit(kind, tmp_path):
    save_checkpoint(make_hf("qwen2"), word_tokenizer(), tmp_path / "base", provenance={})
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "base")
    model = adapted(loaded, **KINDS[kind])
    model.save_pretrained(tmp_path / "adapter")
    named = load(tmp_path / "adapter", base=tmp_path / "base", device="cpu")
    held = as_hooked(model)
    weights = dict(held.hf.named_parameters())
    assert all(torch.equal(weights[name], w) for name, w in named.hf.named_parameters())
    assert torch.equal(held.logits(IDS), named.logits(IDS))
    assert held.fingerprint == named.fingerprint
    over = load(tmp_path / "adapter", base=AutoModelForCausalLM.from_pretrained(tmp_path / "base"))
    assert torch.equal(over.logits(IDS), named.logits(IDS))
    assert over.fingerprint == named.fingerprint
    assert held.tokenizer.get_vocab() == named.tokenizer.get_vocab()  # lies beside the base


def test_the_active_adapter_counts_and_a_disabled_one_does_not():
    model = adapted(make_hf())
    first = as_hooked(model).logits(IDS)
    model.add_adapter("other", peft.LoraConfig(r=2, target_modules=["v_proj"]))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "other" in name:
                weight.add_(0.3)
    assert torch.equal(as_hooked(model).logits(IDS), first)
    model.set_adapter("other")
    assert torch.allclose(as_hooked(model).logits(IDS), logits(model.eval()), atol=5e-6)
    assert not torch.allclose(as_hooked(model).logits(IDS), first, atol=1e-2)
    model.base_model.set_adapter(["default", "other"])
    assert torch.allclose(as_hooked(model).logits(IDS), logits(model), atol=5e-6)
    plain = as_hooked(make_hf())
    with model.disable_adapter():
        off = as_hooked(model)
    assert torch.equal(off.logits(IDS), plain.logits(IDS))
    assert off.fingerprint == plain.fingerprint


def test_an_adapter_that_is_merged_already_is_measured_as_merged():
    model = adapted(make_hf())
    expected = as_hooked(model).logits(IDS)
    model.merge_adapter()
    before = state(model)
    assert torch.equal(as_hooked(model).logits(IDS), expected)
    with model.disable_adapter():
        plain = as_hooked(make_hf()).logits(IDS)
        assert torch.allclose(as_hooked(model).logits(IDS), plain, atol=5e-6)
    assert [
        n for n, (_, t, _) in before[0].items() if not torch.equal(t, state(model)[0][n][1])
    ] == []


def test_adapters_that_transformers_added_count():
    model = make_hf()
    model.add_adapter(peft.LoraConfig(r=4, target_modules=["q_proj"], init_lora_weights=False))
    held = as_hooked(model)
    assert torch.allclose(held.logits(IDS), logits(model.eval()), atol=5e-6)
    assert not torch.allclose(held.logits(IDS), logits(make_hf()), atol=1e-2)


def test_the_module_inside_a_peft_model_is_its_base_in_the_role_of_a_base():
    hf = make_hf()
    model = adapted(hf)  # changes `hf` in place
    plain = as_hooked(make_hf())
    for given in (hf, model.get_base_model()):
        base = taken(given, "base")
        assert torch.equal(base.logits(IDS), plain.logits(IDS))
        assert base.fingerprint == plain.fingerprint
        assert base.notes == ("The base holds live adapters; it was measured without them.",)
        with pytest.raises(
            InputRefused, match="pass the PeftModel to measure it with its adapters"
        ):
            taken(given, "fitted")
    with pytest.raises(InputRefused, match="load the base anew"):
        taken(adapted(make_hf("qwen2"), bias="all").get_base_model(), "base")


def test_adapters_that_are_no_change_of_weights_are_refused():
    config = peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=2)
    with pytest.raises(InputRefused, match=r"'default' of kind PROMPT_TUNING.*LoRA"):
        as_hooked(peft.get_peft_model(make_hf(), config))
    model = adapted(make_hf())
    model.base_model.model.model.layers[0].self_attn.q_proj.enable_adapters(False)
    with pytest.raises(InputRefused, match="all on or all off, found both"):
        as_hooked(model)


# -- refusals ----------------------------------------------------------------------------------


def on_meta():
    with torch.device("meta"):
        return make_hf()


def quantised():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.ao.quantization.quantize_dynamic(make_hf(), {nn.Linear})


def packed():
    model = make_hf()
    model.lm_head.weight = nn.Parameter(model.lm_head.weight.to(torch.int8), requires_grad=False)
    return model


def nan():
    model = make_hf()
    with torch.no_grad():
        model.lm_head.weight[3, 3] = float("nan")
    return model


class Sharded(nn.Module):
    """Stands for FSDP's wrapper, which needs several processes."""


Sharded.__name__, Sharded.__module__ = "FullyShardedDataParallel", "torch.distributed.fsdp"

REFUSED = {
    "None": (lambda: None, "NoneType"),
    "a number": (lambda: 3, "int"),
    "a class": (lambda: AutoModelForCausalLM, "class AutoModelForCausalLM; make or load one"),
    "a tokenizer": (word_tokenizer, "a tokenizer"),
    "a state dict": (lambda: make_hf().state_dict(), "model.load_state_dict"),
    "a dict": (lambda: {"a": 1}, "a dict; load a state dict"),
    "another module": (lambda: nn.Linear(2, 2), "which transformers does not know"),
    "no head": (lambda: make_hf().model, "load it with AutoModelForCausalLM"),
    "a peft model without a head": (
        lambda: peft.get_peft_model(make_hf().model, peft.LoraConfig(target_modules=["q_proj"])),
        "load it with AutoModelForCausalLM",
    ),
    "an encoder": (
        lambda: transformers.BertForMaskedLM(
            transformers.BertConfig(
                hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8,
                vocab_size=20,
            )
        ),
        "decoder",
    ),
    "meta": (on_meta, "on the meta device"),
    "quantised linears": (quantised, "without quantisation"),
    "packed weights": (packed, "torch.int8"),
    "NaN": (nan, "lm_head.weight holds NaN"),
    "sharded": (Sharded, "save it with save_pretrained"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_model_is_refused_in_one_line(name):
    make, words = REFUSED[name]
    with pytest.raises(HyperinterpError) as refused:
        checked(as_hooked(make(), role="fitted"))
    text = str(refused.value)
    assert words in text
    assert "expected" in text or name == "NaN"
    assert "\n" not in text
    assert len(text) < 400
