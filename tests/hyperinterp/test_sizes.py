"""What a comparison may be asked for: refused by name before any model is loaded."""

from dataclasses import replace

import pytest

from hyperinterp.comparison import compare
from hyperinterp.errors import InputRefused
from hyperinterp.generation import continue_text
from hyperinterp.models import HookedModel
from hyperinterp.roles import known_training
from hyperinterp.sizes import PRESETS, Sizes
from hyperinterp.text import Passages
from hyperinterp.tracing import TRACE_PRESETS, trace
from tests.hyperinterp.training.factory import byte_tokenizer, letters, tiny_hf

NOWHERE = "./no-such-model"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("prompts", 0), ("prompt_tokens", 0), ("prompt_tokens", -1), ("new_tokens", 0),
        ("window", 0), ("context_tokens", 1), ("contexts_per_prompt", 0), ("order_contexts", 0),
        ("lens_contexts", 0), ("control_prompts", 0), ("seeds", 0), ("patch_prompts", 0),
        ("null_draws", 0), ("bias_steps", -1), ("null_blocks", -1), ("stitched", -1),
        ("sweep", (0.7, 0.0)), ("sweep", (-1.0,)), ("sweep", (float("nan"),)),
        ("alphas", (-0.5,)), ("alphas", (float("inf"),)), ("variants", ("standardized",)),
    ],
)  # fmt: skip
def test_a_size_out_of_range_is_refused_by_name(field, value):
    with pytest.raises(InputRefused, match=rf"^{field}: expected .*, found ") as refusal:
        replace(Sizes(), **{field: value})
    assert "\n" not in str(refusal.value)


def test_the_presets_and_the_least_sizes_are_allowed():
    assert {*PRESETS, *TRACE_PRESETS} == {"quick", "default", "full"}
    least = replace(
        Sizes(), prompts=None, contexts_per_prompt=None, bias_steps=0, null_blocks=0, stitched=0,
        sweep=(), alphas=(0.0,), variants=(), context_tokens=2,
    )  # fmt: skip
    assert least.alphas == (0.0,)


@pytest.mark.parametrize("seed", [-1, 2**32, 2**70])
def test_a_seed_out_of_range_is_refused_before_anything_is_loaded(tiny, seed):
    with pytest.raises(InputRefused, match="seed: expected a whole number from 0 to 4294967295"):
        compare(NOWHERE, NOWHERE, seed=seed)
    with pytest.raises(InputRefused, match="seed: expected"):
        trace(NOWHERE, seed=seed)
    model = tiny()
    model.tokenizer = lambda *_, **__: {"input_ids": [[5, 6]]}
    with pytest.raises(InputRefused, match="seed: expected"):
        continue_text(model, "a", temperature=1.0, seed=seed)


def test_a_batch_size_below_one_is_refused_before_anything_is_loaded():
    with pytest.raises(InputRefused, match="batch_size: expected"):
        compare(NOWHERE, NOWHERE, batch_size=0)
    with pytest.raises(InputRefused, match="batch_size: expected"):
        trace(NOWHERE, batch_size=0)


@pytest.mark.parametrize("said", ["many", None, [3], 1.5, True, -4])
def test_what_a_checkpoint_says_of_its_data_may_be_anything(tiny, said):
    hf = tiny().hf
    model = HookedModel(hf, provenance={"data": {"passages": said, "sha256": "0" * 64}})
    assert known_training(model) is None


def test_no_passages_are_not_taken_for_the_built_in_ones():
    model = HookedModel(tiny_hf("llama"), byte_tokenizer())
    nothing = Passages((), "an empty list")
    with pytest.raises(InputRefused, match="an empty list: expected passages of at least 4 tokens"):
        compare(model, model, prompts=nothing, claims="C1")
    with pytest.raises(InputRefused, match="an empty list: expected passages of at least 2 tokens"):
        compare(model, model, prompts=letters(9), train_data=nothing, claims="C1")
