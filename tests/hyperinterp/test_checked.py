"""Models that were wrapped in memory are held to what `load` holds a stored one to."""

import copy

import pytest
import torch

from hyperinterp.analyses.trace import side
from hyperinterp.checkpoints import save_checkpoint
from hyperinterp.comparison import compare
from hyperinterp.errors import UnsupportedModel
from hyperinterp.models import HookedModel, checked, checks, load
from hyperinterp.sizes import Sizes
from hyperinterp.text import Passage, Passages
from hyperinterp.under_comparison import Study
from tests.hyperinterp.families import make_hf, make_refused, word_tokenizer

SIZES = Sizes(
    prompts=9, prompt_tokens=5, new_tokens=8, window=8, context_tokens=12, contexts_per_prompt=4,
    components=True, variants=(),
)  # fmt: skip
TEXTS = Passages(
    tuple(
        Passage(str(n), " ".join(f"w{3 + (7 * n + k * k) % 70}" for k in range(12)))
        for n in range(9)
    ),
    "words",
)


def moved(hf):
    """A copy whose weights are all a little different."""
    other = copy.deepcopy(hf)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(5)
        for weight in other.parameters():
            weight.add_(0.05 * torch.randn_like(weight))
    return other


@pytest.mark.parametrize("family", ["opt", "bloom", "granite", "mpt"])
def test_figures_of_models_in_memory_are_those_of_stored_ones(family, tmp_path):
    base = make_hf(family)
    pair = {"base": base, "fitted": moved(base)}
    for role, hf in pair.items():
        save_checkpoint(hf, word_tokenizer(), tmp_path / role, provenance={})
    stored = [load(tmp_path / role, device="cpu") for role in pair]
    held = [HookedModel(hf, word_tokenizer(), name=role) for role, hf in pair.items()]
    assert [model.self_check for model in held] == [None, None]
    expected, found = (
        compare(*two, prompts=TEXTS, claims="C5", sizes=SIZES) for two in (stored, held)
    )
    assert found.expansion.to_frame().equals(expected.expansion.to_frame())
    assert found.claims["C5"] == expected.claims["C5"]
    assert [model.self_check for model in held] == [model.self_check for model in stored]
    assert held[0].components_by_difference


REFUSED = {
    "BERT (encoder)": lambda: make_refused("BERT (encoder)"),
    "gemma4_text": lambda: make_hf("gemma4_text"),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("role", ["fitted", "control", "late_stage"])
def test_a_model_in_memory_that_load_refuses_is_refused(name, role):
    model = HookedModel(REFUSED[name](), word_tokenizer(), name="odd")
    given = {"base": model, "fitted": model}
    given |= {} if role == "fitted" else {role: model if role == "control" else (model,)}
    with pytest.raises(UnsupportedModel, match="self-check") as refused:
        compare(**given, prompts=TEXTS, claims="C1", sizes=SIZES)
    assert "\n" not in str(refused.value)


def test_every_model_of_a_study_and_of_a_trace_is_checked_once(monkeypatch):
    counted = []
    honest = checks.self_check
    monkeypatch.setattr(
        checks, "self_check", lambda model: (counted.append(model.name), honest(model))
    )
    held = [
        HookedModel(make_hf("llama", seed), word_tokenizer(), name=str(seed))
        for seed in (0, 1, 2, 3)
    ]
    base, fitted, control, twin = held
    roles = {"control": control, "late-stage 0": twin, "late-stage 1": base}
    study = Study(base, fitted, TEXTS, sizes=SIZES, roles=roles)
    assert counted == ["0", "1", "2", "3"]
    other = HookedModel(make_hf("llama", 4), word_tokenizer(), name="4")
    side(study, study.admitted(other), "checkpoint")
    assert counted == ["0", "1", "2", "3", "4"]
    assert checked(other) is other
    assert len(counted) == 5
