import logging
import math

import numpy as np
import pytest
import torch

from probes.lens import lens_ranks, logit_lens, overtake_depth
from probes.ranks import token_ranks


def draw(seed, *shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def norm(h):
    return h / h.square().mean(-1, keepdim=True).add(1e-6).sqrt()


WEIGHT = draw(9, 300, 16)


def unembed(h):
    return h @ WEIGHT.T


@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_chunks_change_nothing(chunk):
    hidden, tokens = draw(0, 3, 5, 16), torch.arange(5) * 50
    whole = unembed(norm(hidden))
    found = logit_lens(hidden, norm, unembed, chunk=chunk)
    assert torch.allclose(found, whole, atol=1e-5)
    read = lens_ranks(hidden, tokens, norm, unembed, chunk=chunk)
    spread = tokens.expand(3, 5)
    assert torch.equal(read.ranks, token_ranks(found, spread))
    expected = whole.double().log_softmax(-1).gather(-1, spread[..., None])[..., 0]
    assert torch.allclose(read.log_probs, expected, atol=1e-5)
    assert read.log_probs.dtype == torch.float64


def test_modules_numpy_and_no_gradient():
    head = torch.nn.Linear(16, 30)
    out = logit_lens(draw(1, 4, 16).numpy(), torch.nn.LayerNorm(16), head)
    assert (out.shape, out.requires_grad) == ((4, 30), False)
    read = lens_ranks(draw(1, 16), np.array(3), torch.nn.LayerNorm(16), head)
    assert read.ranks.shape == read.log_probs.shape == ()


def test_several_tokens_per_state_are_those_of_one_at_a_time():
    hidden, tokens = draw(5, 16), torch.tensor([[0, 1, 2, 3, 4], [9, 9, 9, 9, 9]])
    norm, unembed = torch.nn.LayerNorm(16), torch.nn.Linear(16, 11)
    both = lens_ranks(hidden, tokens, norm, unembed, chunk=2)
    assert both.ranks.shape == both.log_probs.shape == (2, 5)
    for index, one in enumerate(tokens):
        alone = lens_ranks(hidden, one, norm, unembed)
        assert torch.equal(both.ranks[index], alone.ranks)
        assert torch.allclose(both.log_probs[index], alone.log_probs, atol=1e-6)


def test_lens_refusals():
    hidden = draw(2, 4, 16)
    with pytest.raises(ValueError, match="hidden: expected finite"):
        logit_lens(hidden * math.nan, norm, unembed)
    with pytest.raises(ValueError, match="chunk"):
        logit_lens(hidden, norm, unembed, chunk=0)
    with pytest.raises(ValueError, match=r"unembed: expected logits \[4 v\]"):
        logit_lens(hidden, norm, lambda h: h.sum(-1))
    with pytest.raises(ValueError, match="tokens: expected a shape that broadcasts"):
        lens_ranks(hidden, [1, 2, 3], norm, unembed)
    with pytest.raises(ValueError, match=r"tokens: expected token ids in \[0, 300\)"):
        lens_ranks(hidden, [1, 2, 3, 300], norm, unembed)
    with pytest.raises(ValueError, match="lens logits: expected finite"):
        lens_ranks(hidden, [0] * 4, norm, lambda h: unembed(h) * math.inf)
    with pytest.raises(ValueError, match="expected at least one entry"):
        logit_lens(hidden[:0], norm, unembed)


def test_overtaking_by_definition():
    base, fitted = draw(3, 6, 400), draw(4, 6, 400)
    expected = [
        next((i for i in range(6) if all(f > b for f, b in zip(fs[i:], bs[i:], strict=True))), 6)
        for fs, bs in zip(fitted.T.tolist(), base.T.tolist(), strict=True)
    ]
    assert overtake_depth(base, fitted).tolist() == expected
    assert set(expected) == set(range(7))
    assert overtake_depth(base, base).tolist() == [6] * 400
    assert overtake_depth(base, base + 1).tolist() == [0] * 400
    with pytest.raises(ValueError, match="fitted_token_logprob: expected shape"):
        overtake_depth(base, fitted[:5])


@pytest.fixture(scope="module")
def bridged():
    """A tiny random Llama bridged by transformer-lens, the logger put back as it was."""
    import transformers

    logger = logging.getLogger("transformers")
    level = logger.level
    from transformer_lens.model_bridge.sources import build_bridge_from_module

    config = transformers.LlamaConfig(
        vocab_size=211,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
    )
    torch.manual_seed(0)
    model = transformers.LlamaForCausalLM(config).eval()
    bridge = build_bridge_from_module(model, "LlamaForCausalLM", hf_config=config, tokenizer=None)
    logger.setLevel(level)
    return bridge


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_ranks_equal_transformer_lens(bridged):
    from transformer_lens.tools.analysis import logit_lens as their_lens

    ids = torch.randint(0, 211, (2, 12), generator=torch.Generator().manual_seed(0))
    following = ids[:, 1:]
    theirs = their_lens(bridged, ids[:, :-1], positions=None, targets=following)
    with torch.no_grad():
        _, cache = bridged.run_with_cache(ids[:, :-1])
    names = ["blocks.0.hook_in", *(f"blocks.{i}.hook_out" for i in range(3))]
    hidden = torch.stack([cache[name] for name in names])
    read = lens_ranks(hidden, following, bridged.ln_final, bridged.unembed, chunk=5)
    assert torch.equal(read.ranks - 1, theirs.rank_trajectory())
    logits = logit_lens(hidden, bridged.ln_final, bridged.unembed)
    assert torch.allclose(logits[-1], cache["unembed.hook_out"], atol=1e-5)
