"""C3: static biases against oracles, and verdicts on planted pairs."""

import pytest
import torch

from hyperinterp.analyses.bias_fit import _losses, fit_bias, mean_shift, rank_gainers
from hyperinterp.claims import static_bias
from hyperinterp.claims.running import evaluated, lacking
from hyperinterp.claims.spec import Verdict
from hyperinterp.claims.static_bias import arms as arms_of
from hyperinterp.claims.static_bias import measurement
from hyperinterp.generation import Generated
from hyperinterp.text import split_half
from probes import token_ranks
from probes.divergence.static import PATIENCE


def both_logits(study, contexts):
    return (
        study.base.readout(contexts.base).detach(),
        study.fitted.readout(contexts.fitted).detach(),
    )


@pytest.fixture(scope="module")
def biased(planted, make_study):
    return evaluated(static_bias.CLAIM, make_study(planted("static bias")))


@pytest.fixture(scope="module")
def changed(tiny_pair, make_study):
    return evaluated(static_bias.CLAIM, make_study(tiny_pair))


# -- estimates -----------------------------------------------------------------------------


def test_mean_shift_is_the_planted_bias_up_to_a_constant(planted, make_study):
    study = make_study(planted("static bias"))
    truth = study.fitted.hf.lm_head.bias.detach()
    found = mean_shift(study, study.shared.contexts)
    torch.testing.assert_close(found, truth - truth.mean(), atol=1e-5, rtol=0)


def test_rank_gainers_are_those_of_the_rank_probe(tiny_pair, make_study):
    study = make_study(tiny_pair, order_contexts=10_000)
    ours, theirs = both_logits(study, study.shared.contexts)
    every = torch.arange(ours.shape[-1])
    gain = torch.stack(
        [
            token_ranks(ours, every[token].expand(len(ours))).double().log()
            - token_ranks(theirs, every[token].expand(len(ours))).double().log()
            for token in every
        ]
    ).mean(1)
    assert rank_gainers(study, study.shared.contexts, 5).tolist() == gain.topk(5).indices.tolist()


def test_below_four_prompts_nothing_is_kept_aside(tiny_pair, make_study, words):
    study = make_study(tiny_pair, passages=words(3))
    fit, held = _losses(study, study.shared.contexts)
    assert fit is held


def test_the_step_that_is_best_on_the_prompts_kept_aside_is_taken(tiny_pair, make_study):
    study = make_study(tiny_pair)
    _, held = _losses(study, study.shared.contexts)
    found = fit_bias(study, study.shared.contexts, mean_shift(study, study.shared.contexts), 60)
    assert len(found.held_losses) == len(found.losses)
    assert found.held_losses[found.chosen] == pytest.approx(min(found.held_losses), abs=2e-6)
    assert found.held_losses[found.chosen] == pytest.approx(held.at(found.bias)[0], abs=1e-6)
    assert len(found.losses) - 1 in (60, found.chosen + PATIENCE)


def test_fitted_bias_is_at_least_as_good_as_no_bias_and_the_mean_shift(tiny_pair, make_study):
    study = make_study(tiny_pair)
    shift = mean_shift(study, study.shared.contexts)
    _, held = _losses(study, study.shared.contexts)
    found = held.at(fit_bias(study, study.shared.contexts, shift, 30).bias)[0]
    assert found <= min(held.at(torch.zeros_like(shift))[0], held.at(shift)[0]) + 1e-6


def test_losses_keep_every_fourth_prompt_aside(tiny_pair, make_study):
    study = make_study(tiny_pair)
    fit, held = _losses(study, study.shared.contexts)
    assert (fit.count, held.count) == (12 * 22, 4 * 22)
    assert fit.at(torch.zeros(151))[1].sum() == pytest.approx(1.0, abs=1e-5)


# -- planted pairs -------------------------------------------------------------------------


def test_a_static_bias_is_explained_whole(biased):
    block, claim = biased
    assert block.explained.value >= 0.99
    assert block.explained_shuffled.value < 0.1
    assert block.remaining.value < 1e-3
    assert claim.verdict is Verdict.NOT_SUPPORTED
    best = next(arm for arm in block.arms if (arm.bias, arm.alpha) == ("mean shift", 1.0))
    assert best.agreement.value > 0.98
    assert best.ttr.value == pytest.approx(block.fitted_ttr.value, abs=0.02)


def test_a_model_and_itself_has_nothing_to_explain(planted, make_study):
    block, claim = evaluated(static_bias.CLAIM, make_study(planted("itself")))
    assert claim.verdict is Verdict.NOT_SUPPORTED
    assert [item.measured.value for item in claim.conditions] == [0.0, 0.0, 0.0]
    assert block.explained.value is None
    assert "agree" in block.explained.reason
    assert {arm.agreement.value for arm in block.arms} == {1.0}


def test_weight_noise_is_not_called_distinct(planted, make_study):
    _, claim = evaluated(static_bias.CLAIM, make_study(planted("noise")))
    assert claim.verdict is not Verdict.SUPPORTED


def test_a_temperature_is_not_a_static_bias(planted, make_study):
    block, claim = evaluated(static_bias.CLAIM, make_study(planted("temperature")))
    assert block.explained.value < 0.3
    assert claim.verdict is not Verdict.SUPPORTED


def test_a_changed_block_is_not_explained(changed):
    block, claim = changed
    assert block.explained.value < 0.5
    assert [item.outcome for item in claim.conditions[:2]] == [Verdict.SUPPORTED] * 2


def test_it_can_say_yes(planted, make_study):
    """The base sees the last word only, so its text runs in circles; the fitted one sees all."""
    fitted, base = planted("no attention")
    _, claim = evaluated(
        static_bias.CLAIM, make_study((base, fitted), new_tokens=48, window=48, control_prompts=8)
    )
    assert claim.verdict is Verdict.SUPPORTED


# -- arms ----------------------------------------------------------------------------------


def test_the_grid_has_the_base_once_and_alpha_one_always(tiny_pair, make_study):
    keys = arms_of.bias_grid(make_study(tiny_pair, alphas=(0.0, 0.5)))
    assert [key for key in keys if key[1] == 0.0] == [("none", 0.0)]
    assert {key[1] for key in keys if key[0] == "fitted bias"} == {0.5, 1.0}
    assert len(set(keys)) == len(keys)


def test_arms_that_write_and_arms_that_do_not(changed):
    block, _ = changed
    written = {(arm.bias, arm.alpha) for arm in block.arms if arm.ttr.value is not None}
    assert written == {
        ("none", 0.0), ("mean shift", 0.5), ("mean shift", 1.0), ("top rank gainers", 0.5),
        ("top rank gainers", 1.0), ("shuffled mean shift", 1.0), ("fitted bias", 1.0),
    }  # fmt: skip
    silent = next(arm for arm in block.arms if arm.ttr.value is None)
    assert silent.ttr.reason
    assert silent.agreement.value is not None
    base = next(arm for arm in block.arms if arm.bias == "none")
    assert base.ttr == block.base_ttr


def test_the_best_arm_is_the_one_with_the_smallest_gap(changed):
    block, _ = changed
    means = {
        arms_of.label((arm.bias, arm.alpha)): arm.ttr.value
        for arm in block.arms
        if arm.ttr.value is not None
    }
    assert block.best_arm in means
    assert means[block.best_arm] == max(means.values())
    assert block.best_gap.value == pytest.approx(block.fitted_ttr.value - max(means.values()))


def test_an_arm_that_ends_most_texts_early_is_no_alternative():
    long, short = (tuple(range(20)), (1, 2)), ((1, 2), (3, 4))
    texts = {
        "fitted": Generated(long[:1] * 6, (False,) * 6),
        ("mean shift", 1.0): Generated(short * 2 + long, (True,) * 6),
    }
    gap, name = arms_of.closest_arm(texts, 20)
    assert (gap.value, name) == (None, "")
    texts["none", 0.0] = Generated(((7,) * 20,) * 6, (False,) * 6)
    gap, name = arms_of.closest_arm(texts, 20)
    assert name == "none, alpha 0"
    assert gap.value == pytest.approx(0.95)


def test_an_arm_that_is_surely_as_diverse_decides_over_one_that_may_be_more():
    plain = tuple(range(10)) * 2
    texts = {
        "fitted": Generated((plain,) * 6, (False,) * 6),
        ("none", 0.0): Generated((plain,) * 6, (False,) * 6),
        ("mean shift", 1.0): Generated(
            ((7,) * 20, (7,) * 20, *(tuple(range(20)),) * 4), (False,) * 6
        ),
    }
    gap, name = arms_of.closest_arm(texts, 20)
    assert (name, gap.value, gap.hi) == ("none, alpha 0", 0.0, 0.0)


def test_figures_come_from_the_other_half(tiny_pair, make_study, monkeypatch):
    seen = {}
    for name in ("mean_shift", "fit_bias", "_evaluate"):
        kept = getattr(measurement, name)

        def spy(study, contexts, *rest, name=name, kept=kept):
            seen[name] = set(contexts.row.tolist())
            return kept(study, contexts, *rest)

        monkeypatch.setattr(measurement, name, spy)
    block, _ = evaluated(static_bias.CLAIM, make_study(tiny_pair, seed=3))
    calibration, evaluation = split_half(16, 3)
    assert seen["mean_shift"] == seen["fit_bias"] == set(calibration)
    assert seen["_evaluate"] == set(evaluation)
    assert (block.calibration_prompts, block.evaluation_prompts) == (8, 8)


def test_too_few_prompts_are_not_tested(tiny_pair, make_study, words):
    told = lacking(static_bias.CLAIM, make_study(tiny_pair, passages=words(7)))
    assert told == "needs at least 8 held-out prompts, found 7."
    assert lacking(static_bias.CLAIM, make_study(tiny_pair, passages=words(8))) == ""
