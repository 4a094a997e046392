"""Tiny random models of several families with a byte-level tokenizer, in memory or on disk."""

import hashlib
import json
import random
from pathlib import Path

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    GPT2Config,
    GPTNeoXConfig,
    LlamaConfig,
    OPTConfig,
    PreTrainedTokenizerFast,
    Qwen2Config,
)

from hyperinterp.checkpoints import save_checkpoint
from hyperinterp.models import HookedModel
from hyperinterp.text import Passage, Passages

VOCAB, WIDTH, LAYERS = 260, 32, 4
SCALE = 0.2  # of the random weights: large enough that the readout can say something
_COMMON = {
    "vocab_size": VOCAB,
    "initializer_range": SCALE,
    "hidden_size": WIDTH,
    "intermediate_size": 48,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "bos_token_id": 256,
    "eos_token_id": 257,
    "pad_token_id": 257,
}
_GROUPED = {**_COMMON, "num_key_value_heads": 2}
CONFIGS = {
    "llama": lambda: LlamaConfig(**_GROUPED, tie_word_embeddings=True),
    "qwen2": lambda: Qwen2Config(**_GROUPED),
    "gemma2": lambda: Gemma2Config(
        **_GROUPED, head_dim=8, sliding_window=8, query_pre_attn_scalar=8,
        final_logit_softcapping=5.0,
    ),
    "gpt2": lambda: GPT2Config(
        vocab_size=VOCAB, initializer_range=SCALE, n_embd=WIDTH, n_layer=LAYERS, n_head=4,
        n_positions=64, bos_token_id=256, eos_token_id=257, pad_token_id=257,
    ),
    "gpt_neox": lambda: GPTNeoXConfig(**_COMMON, max_position_embeddings=64),
    "opt": lambda: OPTConfig(
        vocab_size=VOCAB, init_std=SCALE, hidden_size=WIDTH, num_hidden_layers=LAYERS,
        num_attention_heads=4, ffn_dim=48, max_position_embeddings=64, word_embed_proj_dim=WIDTH,
        bos_token_id=256, eos_token_id=257, pad_token_id=257,
    ),
}  # fmt: skip


def byte_tokenizer() -> PreTrainedTokenizerFast:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {symbol: number for number, symbol in enumerate(alphabet)}
    vocabulary.update({"<s>": 256, "</s>": 257})
    inner = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, bos_token="<s>", eos_token="</s>", pad_token="</s>"
    )


def tiny_hf(family: str, seed: int = 0) -> torch.nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return AutoModelForCausalLM.from_config(CONFIGS[family]()).eval()


def tiny(family: str, seed: int = 0) -> HookedModel:
    return HookedModel(
        tiny_hf(family, seed), byte_tokenizer(), name=f"tiny-{family}", fingerprint="0" * 64
    )


def saved_tiny(family: str, folder: Path) -> Path:
    """The tiny model as a directory that `load` takes."""
    return save_checkpoint(tiny_hf(family), byte_tokenizer(), folder / family, provenance={})


def letters(count: int, seed: int = 0, least: int = 12, most: int = 40) -> Passages:
    """Random words of different lengths."""
    draw = random.Random(seed)
    texts = [
        "".join(draw.choice("abcdefgh ") for _ in range(draw.randint(least, most))) + "x"
        for _ in range(count)
    ]
    return Passages(tuple(Passage(str(n), t) for n, t in enumerate(texts)), f"letters {seed}")


def log_lines(out: Path, event: str) -> list[dict]:
    text = (out / "training_log.jsonl").read_text(encoding="utf-8")
    return [line for line in map(json.loads, text.splitlines()) if line["event"] == event]


def losses(out: Path) -> list[float]:
    return [line["loss"] for line in log_lines(out, "step")]


def weights(out: Path) -> dict[str, torch.Tensor]:
    (path,) = out.glob("*model.safetensors")
    return load_file(path)


def sha256(out: Path) -> str:
    (path,) = out.glob("*model.safetensors")
    return hashlib.sha256(path.read_bytes()).hexdigest()
