"""What changed in the weights: on pairs whose change is known."""

import json
from dataclasses import replace

import pytest
import torch
from peft import LoraConfig, get_peft_model

import hyperinterp as hi
from hyperinterp.errors import InputRefused
from hyperinterp.looks.registry import chosen_looks
from hyperinterp.looks.weights.matrices import changed_matrices
from hyperinterp.looks.weights.measurement import measure
from hyperinterp.looks.weights.points import along, surprise, truncated
from hyperinterp.models import reweighted
from hyperinterp.report.markdown import render

from ..claims.conftest import SIZES, hooked
from ..claims.tiny import changed

FEW = replace(
    SIZES, prompts=4, new_tokens=17, window=17, contexts_per_prompt=4, control_prompts=2,
    patch_prompts=3,
)  # fmt: skip


@pytest.fixture(scope="module")
def pair(planted):
    return planted("last block")


@pytest.fixture(scope="module")
def found(pair, words):
    """A report with the look, and the texts that its models were given."""
    base, fitted = pair
    return hi.compare(
        base, fitted, prompts=words(4), claims="C1", also="weights", sizes=FEW, device="cpu"
    )


def test_the_ends_of_the_path_are_the_two_models(found):
    by_alpha = {item.value: item for item in found.weights.points if item.path == "alpha"}
    start, end = by_alpha[0.0], by_alpha[1.0]
    assert (start.overrides.value, start.growth) == (0.0, 0.0)
    assert end.agreement.value == 1.0
    assert end.overrides.value == pytest.approx(1 - start.agreement.value)
    assert end.overrides.value > 0.2
    texts = {row.prompt_id: row for row in found.diversity.prompts}
    assert start.example == texts["0"].base.text
    assert end.example == texts["0"].fitted.text


def test_all_quantities_share_one_axis_from_the_base_to_the_fitted_model(found):
    figure = found.weights.plot()
    assert len(figure.data) >= 3  # those that differ at the two ends
    for curve in figure.data:
        by_alpha = dict(zip(curve.x, curve.y, strict=True))
        assert by_alpha[0.0] == 0
        assert by_alpha[1.0] == 1
    half = next(item for item in found.weights.points if item.value == 0.5)
    end = next(item for item in found.weights.points if item.value == 1.0)
    growth = next(curve for curve in figure.data if "growth" in curve.name)
    assert growth.y[list(growth.x).index(0.5)] == pytest.approx(half.growth / end.growth)
    cut = found.weights.plot("together", way="rank")
    assert {curve.x for curve in cut.data} == {(1.0, 4.0, 16.0)}


def test_every_matrix_of_the_changed_block_is_told(pair, found):
    base, _ = pair
    inside = sum(weight.ndim == 2 for weight in base.blocks[-1].parameters())
    assert len(found.weights.matrices) == inside
    assert {item.layer for item in found.weights.matrices} == {base.n_layers - 1}
    assert found.weights.others == ()
    whole = sum(weight.ndim == 2 for weight in base.hf.parameters())
    assert found.weights.same == whole - inside
    for item in found.weights.matrices:
        assert item.relative == pytest.approx(0.6, rel=0.15)  # the noise that was added
        assert item.rank == min(item.rows, item.columns)


def test_a_report_holds_it_and_reads_it_back(found):
    again = hi.Report.from_json(found.to_json())
    assert again.weights == found.weights
    assert json.loads(found.to_json())["results"]["weights"]["matrices"]
    assert "## Weights" in render(found)
    for chart in found.weights.charts():
        assert list(chart.variants())
    assert found.to_frame("weights", "matrices").shape[0] == len(found.weights.matrices)


def test_the_rank_of_an_adapter_is_found_again(make_tiny):
    base = make_tiny()
    config = LoraConfig(r=3, target_modules=["q_proj", "down_proj"], layers_to_transform=[2])

    def adapt(hf):
        model = get_peft_model(hf, config)
        draw = torch.Generator().manual_seed(0)
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.copy_(0.1 * torch.randn(weight.shape, generator=draw))
        model.merge_and_unload()

    fitted = changed(base, adapt)
    matrices, others = changed_matrices(base, fitted)
    assert [item.rank for item in matrices] == [3, 3]
    assert all(item.held[1] == pytest.approx(1.0) for item in matrices)  # by four directions
    assert [item.layer for item in matrices] == [2, 2]
    assert others == ()


def test_a_cut_of_full_rank_and_a_whole_step_are_the_fitted_weights(pair):
    base, fitted = pair
    name = "model.layers.2.mlp.down_proj.weight"
    ends = tuple(model.hf.get_parameter(name) for model in (base, fitted))
    assert torch.equal(along({name: ends}, 1.0)[name], ends[1])
    assert torch.equal(along({name: ends}, 0.0)[name], ends[0])
    assert torch.allclose(truncated({name: ends}, 99)[name], ends[1], atol=1e-6)
    one = truncated({name: ends}, 1)[name] - ends[0]
    assert torch.linalg.matrix_rank(one.double(), atol=1e-5) == 1
    with reweighted(base, {name: ends[1]}) as model:
        assert torch.equal(model.hf.get_parameter(name), ends[1])
    assert base.hf.get_parameter(name) is ends[0]


def test_surprisal_is_the_bases_loss_on_the_text(make_study, make_tiny):
    study = make_study((make_tiny(), make_tiny(1)), new_tokens=4, control_prompts=2, prompts=4)
    text = study.shared.texts.greedy("fitted").chosen([0, 1])
    total, count = 0.0, 0
    for prompt, written in zip(study.heldout.prompts.rows[:2], text.rows, strict=True):
        ids = torch.tensor([[*prompt, *written]])
        logp = study.base.logits(ids)[0].log_softmax(-1)
        for step, token in enumerate(written):
            total -= float(logp[len(prompt) - 1 + step, token])
            count += 1
    assert surprise(study, text).value == pytest.approx(total / count, rel=1e-5)


def test_equal_models_have_nothing_to_show(make_study, planted):
    found = measure(make_study(planted("itself"), prompts=4))
    assert (found.matrices, found.points, found.charts()) == ((), (), ())
    assert found.same > 0


def test_names_that_nothing_has_are_refused():
    assert [look.slug for look in chosen_looks("weights")] == ["weights"]
    assert chosen_looks(None) == ()
    for wrong in ("weigths", "", ["C1"]):
        with pytest.raises(InputRefused, match="also: expected one of weights, causes"):
            chosen_looks(wrong)


def test_an_adapter_that_is_held_apart_is_refused(make_tiny):
    base = make_tiny()
    fitted = changed(
        base, lambda hf: get_peft_model(hf, LoraConfig(r=2, target_modules=["q_proj"]))
    )
    with pytest.raises(InputRefused, match="load an adapter by name"):
        changed_matrices(base, fitted)
    assert hooked(base.hf, "again").n_layers == base.n_layers
