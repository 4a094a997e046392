"""Tiny random models of every family: 3 blocks of width 32 and 97 tokens, made offline."""

from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, pre_tokenizers
from tokenizers import models as token_models
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

from hyperinterp.models import HookedModel

VOCAB = 97
SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 48,
    "vocab_size": VOCAB,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
GPT2 = {
    "n_embd": 32,
    "n_layer": 3,
    "n_head": 4,
    "vocab_size": VOCAB,
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
SLIDING = {
    "head_dim": 8,
    "sliding_window": 8,
    "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
}
LATENT = {
    "num_key_value_heads": 4,
    "head_dim": 4,
    "kv_lora_rank": 8,
    "q_lora_rank": 8,
    "qk_nope_head_dim": 8,
    "qk_rope_head_dim": 4,
    "v_head_dim": 8,
    "n_routed_experts": 4,
    "n_shared_experts": 1,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 16,
    "first_k_dense_replace": 1,
    "topk_group": 1,
}
OPT = SMALL | {"ffn_dim": 48, "word_embed_proj_dim": 32}
GRANITE = SMALL | {"residual_multiplier": 0.5, "logits_scaling": 2.0, "embedding_multiplier": 3.0}
FAMILIES: dict[str, dict[str, Any]] = {
    "llama": SMALL,
    "gpt2": GPT2,
    "gpt_neox": SMALL,
    "mistral": SMALL,
    "qwen2": SMALL,
    "qwen3": SMALL | {"head_dim": 8},
    "gemma": SMALL | {"head_dim": 8},
    "gemma2": SMALL | {"head_dim": 8, "query_pre_attn_scalar": 8},
    "gemma3_text": SMALL | SLIDING,
    "gemma3": {
        "text_config": SMALL | SLIDING,
        "vision_config": {
            "hidden_size": 32,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "intermediate_size": 32,
            "image_size": 28,
            "patch_size": 14,
        },
        "mm_tokens_per_image": 4,
        "image_token_index": 96,
        "boi_token_index": 94,
        "eoi_token_index": 95,
    },
    "phi3": SMALL,
    "opt": OPT,
    "falcon": SMALL | {"multi_query": True},
    "bloom": SMALL | {"n_layer": 3, "n_head": 4},
    "olmo2": SMALL,
    "granite": GRANITE,
    "stablelm": SMALL,
    "mixtral": SMALL | {"num_local_experts": 4},
    "qwen2_moe": SMALL | EXPERTS,
}
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "gpt_neox, sequential blocks": ("gpt_neox", SMALL | {"use_parallel_residual": False}),
    "falcon, ALiBi": ("falcon", SMALL | {"alibi": True, "parallel_attn": False}),
    "falcon, new decoder": ("falcon", SMALL | {"new_decoder_architecture": True}),
    "stablelm, parallel blocks": ("stablelm", SMALL | {"use_parallel_residual": True}),
    "mistral, sliding window": ("mistral", SMALL | {"sliding_window": 4}),
    "llama, tied embeddings": ("llama", SMALL | {"tie_word_embeddings": True}),
}
"""What sets a family's checkpoints apart: kind of block, mask, norm or embedding."""

NEWER: dict[str, dict[str, Any]] = {
    "apertus": SMALL,
    "arcee": SMALL,
    "codegen": GPT2 | {"rotary_dim": 4, "n_inner": None},
    "cohere": SMALL,
    "cohere2": SMALL | {"head_dim": 8},
    "deepseek_v2": SMALL | LATENT | {"n_group": 1},
    "deepseek_v3": SMALL | LATENT | {"n_group": 2},
    "ernie4_5": SMALL | {"head_dim": 8},
    "exaone4": SMALL | {"head_dim": 8, "sliding_window": 8},
    "gemma4_text": SMALL
    | {
        "head_dim": 8,
        "layer_types": ["sliding_attention", "full_attention", "full_attention"],
        "vocab_size_per_layer_input": VOCAB,
        "hidden_size_per_layer_input": 8,
    },
    "glm": SMALL | {"head_dim": 8},
    "glm4": SMALL | {"head_dim": 8},
    "gpt_bigcode": GPT2,
    "gpt_neo": {
        "hidden_size": 32,
        "num_layers": 3,
        "num_heads": 4,
        "attention_types": [[["global", "local", "global"], 1]],
        "vocab_size": VOCAB,
        "max_position_embeddings": 64,
        "window_size": 8,
        "bos_token_id": 1,
        "eos_token_id": 2,
    },
    "gpt_oss": SMALL | {"head_dim": 8, "num_local_experts": 4, "num_experts_per_tok": 2},
    "gptj": GPT2 | {"rotary_dim": 4},
    "granitemoe": GRANITE | {"num_local_experts": 4, "num_experts_per_tok": 2},
    "hunyuan_v1_dense": SMALL | {"head_dim": 8},
    "mpt": {
        "d_model": 32,
        "n_layers": 3,
        "n_heads": 4,
        "vocab_size": VOCAB,
        "max_seq_len": 64,
        "bos_token_id": 1,
        "eos_token_id": 2,
    },
    "nemotron": SMALL,
    "olmo": SMALL,
    "olmo3": SMALL | SLIDING,
    "olmoe": SMALL | {"num_experts": 4, "num_experts_per_tok": 2},
    "phi": SMALL,
    "qwen3_moe": SMALL | EXPERTS | {"head_dim": 8},
    "seed_oss": SMALL | {"head_dim": 8},
    "smollm3": SMALL,
    "starcoder2": SMALL,
    "xglm": {
        "d_model": 32,
        "num_layers": 3,
        "attention_heads": 4,
        "ffn_dim": 48,
        "vocab_size": VOCAB,
        "max_position_embeddings": 64,
    },
}
"""Further families that researchers may bring; measured or refused, never guessed."""
NEWER_REFUSED = {"gemma4_text"}
"""Those that the self-check refuses."""

_ENCODER = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "vocab_size": VOCAB,
}
_STATE = {"hidden_size": 32, "num_hidden_layers": 3, "vocab_size": VOCAB, "state_size": 8}
_MIXED = SMALL | {"mamba_n_heads": 8, "mamba_d_head": 8, "mamba_d_state": 8}
REFUSED: dict[str, tuple[str, str, dict[str, Any], str]] = {
    "BERT (encoder)": ("bert", "BertLMHeadModel", _ENCODER, "causal"),
    "BERT as a decoder": ("bert", "BertLMHeadModel", _ENCODER | {"is_decoder": True}, "final norm"),
    "OPT-350M (no final norm)": (
        "opt",
        "OPTForCausalLM",
        OPT | {"do_layer_norm_before": False, "word_embed_proj_dim": 16},
        "no ln_final",
    ),
    "OPT (projected embedding)": (
        "opt",
        "OPTForCausalLM",
        OPT | {"word_embed_proj_dim": 16},
        "no ln_final",
    ),
    "RoBERTa (encoder)": ("roberta", "RobertaForCausalLM", _ENCODER, "transformer-lens knows"),
    "T5 (encoder-decoder)": (
        "t5",
        "T5ForConditionalGeneration",
        {"d_model": 32, "num_layers": 3, "num_heads": 4, "d_ff": 48, "vocab_size": VOCAB},
        "encoder-decoder",
    ),
    "Mamba (state space)": ("mamba", "MambaForCausalLM", _STATE, "attention and MLP"),
    "Mamba 2 (state space)": (
        "mamba2",
        "Mamba2ForCausalLM",
        _STATE | {"num_heads": 8, "head_dim": 8, "n_groups": 1},
        "attention and MLP",
    ),
    "RWKV (recurrent)": (
        "rwkv",
        "RwkvForCausalLM",
        {"hidden_size": 32, "num_hidden_layers": 3, "vocab_size": VOCAB},
        "attention and MLP",
    ),
    "Jamba (mixed blocks)": (
        "jamba",
        "JambaForCausalLM",
        SMALL
        | {"num_experts": 4, "attn_layer_period": 2, "attn_layer_offset": 1, "mamba_d_state": 4},
        "mixed kinds",
    ),
    "Bamba (mixed blocks)": (
        "bamba",
        "BambaForCausalLM",
        _MIXED | {"attn_layer_indices": [1]},
        "mixed kinds",
    ),
    "Zamba 2 (mixed blocks)": (
        "zamba2",
        "Zamba2ForCausalLM",
        SMALL
        | {
            "mamba_d_state": 8,
            "n_mamba_heads": 4,
            "mamba_headdim": 16,
            "layers_block_type": ["mamba", "hybrid", "mamba"],
            "num_mem_blocks": 1,
        },
        "attention and MLP",
    ),
    "RecurrentGemma (mixed blocks)": (
        "recurrent_gemma",
        "RecurrentGemmaForCausalLM",
        SMALL | {"lru_width": 32, "attention_window_size": 8, "head_dim": 8},
        "attention and MLP",
    ),
    "LFM2 (mixed blocks)": (
        "lfm2",
        "Lfm2ForCausalLM",
        SMALL | {"layer_types": ["conv", "full_attention", "conv"]},
        "mixed kinds",
    ),
    "Qwen3-Next (mixed blocks)": (
        "qwen3_next",
        "Qwen3NextForCausalLM",
        SMALL | EXPERTS | {"head_dim": 8},
        "mixed kinds",
    ),
    "Falcon-H1 (two mixers per block)": (
        "falcon_h1",
        "FalconH1ForCausalLM",
        SMALL | {"mamba_d_ssm": 32, "mamba_n_heads": 4, "mamba_d_head": 8, "mamba_d_state": 8},
        "unexplained",
    ),
}
"""Name -> model type, class, configuration, and words of the refusal."""


def spec(name: str) -> tuple[str, dict[str, Any]]:
    """Model type and configuration of a family, variant or newer family."""
    if name in VARIANTS:
        return VARIANTS[name]
    return name, FAMILIES[name] if name in FAMILIES else NEWER[name]


def _drawn(build: Any, seed: int) -> Any:
    """A model from `build`, every weight disturbed, so that no norm or bias is trivial."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = build()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.1)
    return model.eval()


def make_hf(name: str = "llama", seed: int = 0) -> Any:
    """A random transformers model of a family."""
    kind, config = spec(name)
    return _drawn(
        lambda: AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **config)), seed
    )


def make_refused(name: str, seed: int = 0) -> Any:
    """A random model of a kind that is refused."""
    kind, architecture, config, _ = REFUSED[name]
    build = getattr(transformers, architecture)
    return _drawn(lambda: build(AutoConfig.for_model(kind, **config)), seed)


def make_tiny(name: str = "llama", seed: int = 0) -> HookedModel:
    """A hooked random model of a family, without a tokenizer."""
    return HookedModel(make_hf(name, seed), name=f"tiny {name}")


def word_tokenizer() -> PreTrainedTokenizerFast:
    """One token per word `w3`, `w4`, ...; ids 0 to 2 are unknown, begin and end.

    The last ids are single characters: transformers reads the tokenizer of a Qwen 2 directory as
    byte pairs whatever it says, and then these are the pieces that it finds.
    """
    words = {name: number for number, name in enumerate(["<unk>", "<s>", "</s>"])}
    pieces = ["w", "Ġ", *"0123456789"]
    words |= {f"w{number}": number for number in range(3, VOCAB - len(pieces) - 1)}
    words |= {piece: VOCAB - 1 - len(pieces) + n for n, piece in enumerate(pieces)}
    backend = Tokenizer(token_models.WordLevel(words, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    )
