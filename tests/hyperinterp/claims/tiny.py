"""Tiny random models of several families that share one word-level tokenizer, and full forwards."""

from copy import deepcopy

import torch
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    GPT2Config,
    GPTNeoXConfig,
    LlamaConfig,
    OPTConfig,
)

from hyperinterp.models import HookedModel

VOCAB, WIDTH = 151, 32  # those of the fixtures in conftest.py
SCALE = 0.35


def _config(family, layers):
    no_marks = {"bos_token_id": None, "eos_token_id": None, "pad_token_id": 0}
    common = {
        "vocab_size": VOCAB,
        "hidden_size": WIDTH,
        "intermediate_size": 48,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        "initializer_range": SCALE,
        "max_position_embeddings": 64,
        **no_marks,
    }
    return {
        "llama": lambda: LlamaConfig(**common, num_key_value_heads=2),
        "gpt_neox": lambda: GPTNeoXConfig(**common),
        "gemma2": lambda: Gemma2Config(
            **common, num_key_value_heads=2, head_dim=8, sliding_window=8, query_pre_attn_scalar=8,
            final_logit_softcapping=5.0,
        ),
        "gpt2": lambda: GPT2Config(
            vocab_size=VOCAB, n_embd=WIDTH, n_layer=layers, n_head=4, n_positions=64,
            initializer_range=SCALE, **no_marks,
        ),
        "opt": lambda: OPTConfig(
            vocab_size=VOCAB, hidden_size=WIDTH, num_hidden_layers=layers, num_attention_heads=4,
            ffn_dim=48, max_position_embeddings=64, word_embed_proj_dim=WIDTH, init_std=SCALE,
            **no_marks,
        ),
    }[family]()  # fmt: skip


def tiny(family, tokenizer, seed=0, layers=3):
    """A tiny random model; different seeds differ in every weight matrix."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        hf = AutoModelForCausalLM.from_config(_config(family, layers)).eval()
    return HookedModel(hf, tokenizer, name=f"{family}-{seed}", fingerprint="0" * 64)


def changed(model, change, name="fitted"):
    """A copy of a model after `change(hf)`."""
    hf = deepcopy(model.hf)
    with torch.no_grad():
        change(hf)
    return HookedModel(hf, model.tokenizer, name=name, fingerprint="1" * 64)


def with_donor_weights(recipient, donor, paths):
    """A plain copy of the recipient's Hugging Face model with the donor's weights at some paths."""
    hf = deepcopy(recipient.hf)
    for path in paths:
        hf.get_submodule(path).load_state_dict(donor.hf.get_submodule(path).state_dict())
    return hf


def hooked_like(model, hf, name="fitted"):
    """Another Hugging Face model with the same tokenizer, hooked."""
    return HookedModel(hf, model.tokenizer, name=name, fingerprint="2" * 64)
