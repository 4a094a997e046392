"""Tiny random models of several families, shared by the tests of hyperinterp."""

from collections.abc import Callable

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from hyperinterp.models import HookedModel

SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 48,
    "vocab_size": 97,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
GPT2 = {
    "n_embd": 32,
    "n_layer": 3,
    "n_head": 4,
    "vocab_size": 97,
    "n_positions": 64,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
EXPERTS = {
    "num_experts": 4,
    "moe_intermediate_size": 16,
    "shared_expert_intermediate_size": 16,
    "num_experts_per_tok": 2,
}
FAMILIES: dict[str, dict] = {
    "llama": SMALL,
    "gpt2": GPT2,
    "gpt_neox": SMALL,
    "mistral": SMALL,
    "qwen2": SMALL,
    "qwen3": SMALL | {"head_dim": 8},
    "gemma": SMALL | {"head_dim": 8},
    "gemma2": SMALL | {"head_dim": 8, "query_pre_attn_scalar": 8},
    "gemma3_text": SMALL
    | {
        "head_dim": 8,
        "sliding_window": 8,
        "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
    },
    "phi3": SMALL,
    "opt": SMALL | {"ffn_dim": 48, "word_embed_proj_dim": 32},
    "falcon": SMALL | {"multi_query": True},
    "bloom": SMALL | {"n_layer": 3, "n_head": 4},
    "olmo2": SMALL,
    "granite": SMALL
    | {"residual_multiplier": 0.5, "logits_scaling": 2.0, "embedding_multiplier": 3.0},
    "stablelm": SMALL,
    "mixtral": SMALL | {"num_local_experts": 4},
    "qwen2_moe": SMALL | EXPERTS,
}


def make_tiny(family: str = "llama", seed: int = 0) -> HookedModel:
    """A random model of a family with 3 blocks of width 32 and 97 tokens."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(family, **FAMILIES[family]))
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.1)
    return HookedModel(model, name=f"tiny {family}")


@pytest.fixture
def tiny() -> Callable[..., HookedModel]:
    return make_tiny


@pytest.fixture(params=sorted(FAMILIES))
def family(request: pytest.FixtureRequest) -> str:
    return request.param
