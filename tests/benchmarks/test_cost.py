"""What claims make the models do, counted in tokens through the model."""

from dataclasses import replace

import pytest
import torch

from benchmarks.cost import cost_of, counted, late_twin, shared_study
from benchmarks.planted import random_words
from hyperinterp.sizes import PRESETS
from tests.hyperinterp.claims.conftest import word_tokenizer
from tests.hyperinterp.claims.tiny import tiny

LAYERS = 4


@pytest.fixture(scope="module")
def base():
    return tiny("llama", word_tokenizer(), 0, LAYERS)


def test_a_token_through_the_model_counts_one(base):
    ids = torch.zeros((3, 5), dtype=torch.long)
    with counted(base) as count:
        base.logits(ids)
    assert count.total == pytest.approx(15)
    with counted(base) as replayed:
        base.replay(base.record(ids), LAYERS // 2)
    assert replayed.blocks == pytest.approx(1.5 * count.blocks)
    assert replayed.readouts == 0


@pytest.mark.parametrize("blocks", [1, LAYERS])
def test_c12_costs_no_more_than_c6(base, blocks):
    """A quarter of the passages and tokens of the quick preset."""
    sizes = replace(
        PRESETS["quick"], prompts=6, prompt_tokens=4, new_tokens=6, window=6, context_tokens=16,
        contexts_per_prompt=4, control_prompts=2, patch_prompts=2,
    )  # fmt: skip
    study = shared_study(base, late_twin(base, blocks), random_words(0, 6, 20), sizes)
    costs = {claim: cost_of(study, claim)[0].total for claim in ("C6", "C12")}
    assert 0 < costs["C12"] <= costs["C6"]
    assert study.run.log.forwards["base over the passages"] == 1
    assert study.run.log.forwards["base over every other passage"] == 0
