"""Tiny random models with peaked, varied predictions, and pairs with a planted difference."""

import random
from dataclasses import replace

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from hyperinterp.models import HookedModel
from hyperinterp.runs import RunContext
from hyperinterp.sizes import Sizes
from hyperinterp.text import Passage, Passages
from hyperinterp.under_comparison import Study

from .planted import TEMPERATURE, planted_twin

VOCAB, WIDTH, LAYERS = 151, 32, 3
SIZES = Sizes(
    prompts=16,
    prompt_tokens=6,
    new_tokens=24,
    window=24,
    context_tokens=24,
    contexts_per_prompt=None,
    order_contexts=64,
    lens_contexts=16,
    components=False,
    variants=(),
    control_prompts=6,
    seeds=2,
    sweep=(0.7,),
    alphas=(0.5, 1.0),
    bias_steps=30,
    patch_prompts=6,
    null_draws=2,
    null_blocks=1,
    stitched=2,
)


def word_tokenizer():
    """One token per word `w0`, `w1`, ...; no end token, so that every text has its full length."""
    words = {f"w{number}": number for number in range(VOCAB)}
    backend = Tokenizer(models.WordLevel(words, unk_token="w0"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="w0", pad_token="w0")


def tiny_llama(seed=0):
    config = LlamaConfig(
        vocab_size=VOCAB,
        hidden_size=WIDTH,
        intermediate_size=48,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
        initializer_range=0.35,
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=0,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LlamaForCausalLM(config).eval()


def hooked(hf, name):
    return HookedModel(hf, word_tokenizer(), name=name, fingerprint="0" * 64)


@pytest.fixture(scope="session")
def make_tiny():
    """A function (seed) -> hooked tiny Llama."""
    return lambda seed=0: hooked(tiny_llama(seed), f"tiny-{seed}")


@pytest.fixture(scope="session")
def planted():
    """A function (kind, seed) -> (base, fitted) that differ by one of planted.CHANGES."""

    def make(kind, seed=0):
        base = hooked(tiny_llama(seed), "base")
        return base, planted_twin(base, kind, seed + 1)

    return make


@pytest.fixture(scope="session")
def tiny_pair(planted):
    """A base and a twin whose last block was changed strongly."""
    return planted("last block")


@pytest.fixture(scope="session")
def words():
    """A function (count, seed, least, most) -> passages of random words."""

    def make(count=16, seed=0, least=24, most=24):
        draw = random.Random(seed)
        texts = (
            " ".join(f"w{draw.randrange(VOCAB)}" for _ in range(draw.randint(least, most)))
            for _ in range(count)
        )
        return Passages(tuple(Passage(str(n), t) for n, t in enumerate(texts)), f"words {seed}")

    return make


@pytest.fixture(scope="session")
def make_study(words):
    """A function (pair, **changed sizes) -> study of 16 prompts; also of a seed, passages, runs."""

    def make(pair, *, seed=0, passages=None, wanted=(), **sizes):
        base, fitted = pair
        return Study(
            base, fitted, passages or words(), sizes=replace(SIZES, **sizes),
            run=RunContext(seed=seed), wanted=frozenset(wanted),
        )  # fmt: skip

    return make


@pytest.fixture(scope="session")
def known_temperature():
    return TEMPERATURE
