"""C2: matched temperatures against oracles, and verdicts on planted pairs."""

import math
from dataclasses import replace

import pytest
import torch

from hyperinterp.claims import temperature
from hyperinterp.claims.running import evaluated
from hyperinterp.claims.spec import Verdict
from hyperinterp.claims.temperature import measurement
from hyperinterp.claims.temperature.fit import (
    BOUNDS,
    _solved,
    fit_contexts,
    fit_globally,
)
from probes import matched_temperature


def rows(n=12, v=40, seed=0, scale=3.0):
    return scale * torch.randn(n, v, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def known(planted, make_study, known_temperature):
    study = make_study(planted("temperature"))
    return evaluated(temperature.CLAIM, study), known_temperature


@pytest.fixture(scope="module")
def changed(tiny_pair, make_study):
    return evaluated(temperature.CLAIM, make_study(tiny_pair, seeds=1, sweep=()))


# -- measures ------------------------------------------------------------------------------


def test_an_entropy_out_of_reach_is_named_and_the_nearest_bound_is_used():
    tied = torch.zeros(4, 30)
    tied[:, :2] = 5.0  # ln 2 nats at any low temperature
    bound, reason = _solved(lambda: [tied], torch.full((4,), 0.1).double())
    assert bound == BOUNDS[0]
    assert "no temperature reaches" in reason


def test_a_context_out_of_reach_is_counted(planted, make_study):
    base, fitted = planted("temperature")
    with torch.no_grad():
        base.hf.lm_head.weight[1] = base.hf.lm_head.weight[0]
        base.hf.lm_head.weight[:2] *= 3.0
        fitted.hf.lm_head.weight *= 40.0
    study = make_study((base, fitted))
    fits = fit_contexts(study, study.shared.contexts)
    assert 0 < int(fits.unmatched.sum()) < len(study.shared.contexts)
    assert bool((fits.best_kl <= fits.kl + 1e-12).all())


def test_interval_of_the_global_temperature_is_that_of_solving_again_without_each_prompt(
    tiny_pair, make_study
):
    study = make_study(tiny_pair)
    contexts = study.shared.contexts
    fits = fit_contexts(study, contexts)
    fit = fit_globally(study, contexts, fits.fitted_entropy, ())
    figure = measurement._temperature(fit, fits.fitted_entropy, contexts.row)
    logits = study.base.readout(contexts.base).detach()
    again = []
    for prompt in contexts.row.unique():
        keep = contexts.row != prompt
        match = matched_temperature(logits[keep], fits.fitted_entropy[keep].mean())
        again.append(float(match.temperature))
    left = torch.tensor(again).double()
    se = math.sqrt((len(left) - 1) * float(left.var(unbiased=False)))
    half = 2.1314495  # Student's t, 15 degrees of freedom
    assert figure.value == pytest.approx(fit.temperature)
    assert (figure.hi - figure.lo) / 2 == pytest.approx(half * se, rel=0.02)
    assert "Newton" in figure.method


# -- planted pairs -------------------------------------------------------------------------


def test_a_model_and_itself(planted, make_study):
    block, claim = evaluated(temperature.CLAIM, make_study(planted("itself"), seeds=1, sweep=()))
    assert claim.verdict is Verdict.NOT_SUPPORTED
    assert (block.remaining.value, block.remaining.lo, block.remaining.hi) == (0.0, 0.0, 0.0)
    assert block.global_temperature.value == pytest.approx(1.0, abs=1e-6)
    assert block.kl.value == 0.0
    assert block.ttr_at_equal_entropy.value == 0.0
    assert block.greedy_agreement == 1.0


def test_a_pure_temperature_is_recovered_and_explains_everything(known):
    (block, claim), truth = known
    assert block.global_temperature.value == pytest.approx(truth, abs=1e-3)
    assert block.context_temperature == pytest.approx((truth,) * 3, abs=1e-3)
    assert block.context_unmatched == 0
    assert block.kl.value > 0.1
    assert block.kl_global.value < 1e-6
    assert block.remaining.value < 1e-6
    assert block.greedy_agreement > 0.99
    assert claim.verdict is Verdict.NOT_SUPPORTED


def test_a_pure_temperature_writes_the_fitted_texts_at_equal_entropy(known):
    (block, _), _ = known
    arms = {arm.name: arm for arm in block.arms}
    assert arms["base sampled at T*"].ttr == arms["fitted sampled"].ttr
    assert block.ttr_at_equal_entropy.value == pytest.approx(0.0, abs=0.02)


def test_weight_noise_is_not_called_distinct(planted, make_study):
    _, claim = evaluated(temperature.CLAIM, make_study(planted("noise"), seeds=1, sweep=()))
    assert claim.verdict is not Verdict.SUPPORTED


def test_a_changed_block_leaves_what_no_temperature_explains(changed):
    block, claim = changed
    assert claim.conditions[0].outcome is Verdict.SUPPORTED
    assert 0.5 < block.remaining.value <= 1.0
    assert block.kl_context.value <= min(block.kl.value, block.kl_global.value)


def test_it_can_say_yes(planted, make_study):
    """The base is held to a few words by a static bias that the fitted model does not have."""
    fitted, base = planted("static bias")
    with torch.no_grad():
        base.hf.lm_head.bias *= 0.7
    _, claim = evaluated(
        temperature.CLAIM, make_study((base, fitted), new_tokens=32, window=32, control_prompts=12)
    )
    assert claim.verdict is Verdict.SUPPORTED


# -- arms ----------------------------------------------------------------------------------


def test_arms_say_what_they_are(known):
    (block, _), truth = known
    arms = {arm.name: arm for arm in block.arms}
    assert "tautology" in arms["base greedy at T*"].note
    assert arms["base greedy at T*"].ttr == arms["base greedy"].ttr
    assert arms["base sampled at per-context T*"].temperature is None
    assert {arm.seeds for arm in block.arms if "sampled" in arm.name} == {2}
    remedies = [arm for arm in block.arms if "remedy" in arm.note]
    assert [arm.sampled for arm in remedies] == [True, True, False, False]
    assert all(arm.entropy.value is None and arm.ttr.n for arm in remedies)
    assert {arm.seeds for arm in block.arms if not arm.sampled} == {1}
    assert [arm.temperature for arm in block.sweep] == pytest.approx([truth, 0.7, 1.0], abs=1e-3)


def test_matched_arms_have_the_fitted_entropy(changed):
    block, _ = changed
    arms = {arm.name: arm for arm in block.arms}
    for name in ("base sampled at T*", "base sampled at per-context T*", "fitted greedy"):
        assert arms[name].entropy.value == pytest.approx(block.entropy.fitted.value, abs=1e-4)
    assert arms["base greedy"].entropy == block.entropy.base


def test_seeds_follow_the_study(tiny_pair, make_study):
    few = {"seeds": 1, "control_prompts": 3, "new_tokens": 16, "sweep": ()}

    def scores(seed):
        study = make_study(tiny_pair, seed=seed, **few)
        _, fit = measurement.prepare(study)
        return measurement._texts(study, fit.temperature)["base sampled"]

    ttr = [scores(seed) for seed in (0, 0, 1)]
    assert torch.equal(ttr[0][0].distinct_2, ttr[1][0].distinct_2)
    assert not torch.equal(ttr[0][0].ttr, ttr[2][0].ttr)


def test_texts_too_short_to_score_leave_the_claim_undecided(tiny_pair, make_study):
    block, claim = evaluated(
        temperature.CLAIM, make_study(tiny_pair, new_tokens=8, seeds=1, sweep=())
    )
    assert block.ttr_at_equal_entropy.value is None
    assert "long enough" in block.ttr_at_equal_entropy.reason
    assert claim.verdict is Verdict.INCONCLUSIVE


def test_one_prompt_gives_figures_without_intervals(tiny_pair, make_study, words):
    study = make_study(tiny_pair, passages=words(1), seeds=1, sweep=())
    block, claim = evaluated(temperature.CLAIM, study)
    assert block.global_temperature.value is not None
    assert block.global_temperature.lo is None
    assert claim.verdict is Verdict.INCONCLUSIVE


def test_logits_too_large_to_keep_are_computed_again(tiny_pair, make_study, monkeypatch):
    study = make_study(tiny_pair)
    goal = fit_contexts(study, study.shared.contexts).fitted_entropy
    kept = fit_globally(study, study.shared.contexts, goal, (0.7,))
    monkeypatch.setattr("hyperinterp.claims.temperature.fit.KEPT_BYTES", 0)
    anew = fit_globally(study, study.shared.contexts, goal, (0.7,))
    assert anew.temperature == kept.temperature
    assert torch.equal(anew.grid[0.7], kept.grid[0.7])
    assert replace(anew, grid={}).unreachable == ""
