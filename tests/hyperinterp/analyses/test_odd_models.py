"""Models that are broken or odd: named in one line, or measured as far as they can be."""

import pytest
import torch

from hyperinterp.compare import compare
from hyperinterp.errors import NumericalFault, UnsupportedModel
from hyperinterp.generation import GREEDY, Decoding, generate

from .conftest import SIZES
from .tiny import changed


def spoiled(model, path, value):
    """A copy in which one entry of one weight has this value."""

    def spoil(hf):
        hf.get_parameter(path).view(-1)[5] = value

    return changed(model, spoil, "the broken one")


def masking(model, *tokens):
    """A copy whose head gives these token ids minus infinity, as heads with padded ids may."""

    def mask(hf):
        bias = torch.zeros(model.vocab_size)
        bias[list(tokens)] = float("-inf")
        head = torch.nn.Linear(model.d_model, model.vocab_size)
        head.weight, head.bias = hf.lm_head.weight, torch.nn.Parameter(bias)
        hf.lm_head = head

    return changed(model, mask, "the masking one")


@pytest.mark.parametrize("role", ["base", "fitted"])
@pytest.mark.parametrize("path", ["model.norm.weight", "lm_head.weight"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("claim", ["C1", "C2", "C4", "C6", "C9"])
def test_a_broken_model_gets_no_verdict(make_tiny, words, role, path, value, claim):
    good = make_tiny()
    pair = {"base": good, "fitted": good} | {role: spoiled(good, path, value)}
    with pytest.raises(NumericalFault, match="the broken one"):
        compare(**pair, control=good, prompts=words(), sizes=SIZES, claims=claim)


def test_a_broken_model_whose_entropy_is_matched_is_named(make_tiny, make_study, tiny_pair):
    prompts = make_study(tiny_pair).prompt_rows
    broken = spoiled(make_tiny(), "lm_head.weight", float("nan"))
    arms = [Decoding("matched", seed=1, match_entropy=True)]
    with pytest.raises(NumericalFault, match="the broken one"):
        generate(make_tiny(), prompts, arms, new_tokens=2, match_entropy_of=broken)


def test_token_ids_that_a_model_rules_out_are_never_written(make_tiny, make_study, tiny_pair):
    model, prompts = make_tiny(), make_study(tiny_pair).prompt_rows
    plain = generate(model, prompts, new_tokens=8)[GREEDY.name].rows
    ruled_out = plain[0][0]
    arms = [GREEDY, Decoding("drawn", seed=0)]
    for written in generate(masking(model, ruled_out), prompts, arms, new_tokens=8).values():
        assert ruled_out not in {token for row in written.rows for token in row}
    with pytest.raises(NumericalFault, match="finite logits"):
        generate(masking(model, *range(model.vocab_size)), prompts, new_tokens=2)


def test_token_ids_that_a_model_rules_out_have_no_ranks(make_tiny, words):
    model = masking(make_tiny(), 3, 4)
    report = compare(make_tiny(), model, prompts=words(), sizes=SIZES, claims="C1,C5")
    assert report.diversity is not None
    assert report.geometry is not None
    for claim in ("C2", "C3", "C4", "C6"):
        with pytest.raises(UnsupportedModel, match="minus infinity for 2 token ids"):
            compare(make_tiny(), model, prompts=words(), sizes=SIZES, claims=claim)
