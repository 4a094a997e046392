import pytest
import torch

from hyperinterp.capture import chosen_positions
from hyperinterp.claims import control
from hyperinterp.claims.running import evaluated
from hyperinterp.claims.spec import Verdict
from hyperinterp.errors import InputRefused

from ..tiny import changed


@pytest.fixture
def study(make_tiny, make_study):
    """A base that repeats itself and a fitted model that does not."""
    fitted = make_tiny(0)
    base = changed(
        fitted, lambda hf: hf.model.layers[-1].mlp.down_proj.weight[0].fill_(30.0), "base"
    )
    return make_study((base, fitted), contexts_per_prompt=8)


def test_a_control_like_the_base_leaves_the_gain_to_hyperfitting(study):
    study.roles["control"] = study.base
    block, claim = evaluated(control.CLAIM, study)
    assert claim.verdict is Verdict.SUPPORTED, claim.why
    assert set(block.scores) == {"ttr", "rep_4", "entropy", "heldout_loss", "override_rate"}
    assert all(pair.delta.value == 0.0 for pair in block.scores.values())
    assert block.name == "base"


def test_a_control_like_the_fitted_model_takes_the_claim_away(study):
    study.roles["control"] = study.fitted
    block, claim = evaluated(control.CLAIM, study)
    assert block.gain_gap.value == 0.0
    assert claim.verdict is Verdict.NOT_SUPPORTED
    assert block.scores["ttr"].delta.value > 0


def test_predictions_are_those_of_full_forwards(study, make_tiny):
    study.roles["control"] = make_tiny(3)
    block, _ = evaluated(control.CLAIM, study)
    rows = torch.tensor(study.heldout.rows.rows)
    where = torch.tensor(chosen_positions(rows.shape[1], 8))
    ours, theirs = (m.logits(rows)[:, where].double() for m in (study.base, study.model("control")))
    for name, side, logits in (("base", "base", ours), ("control", "fitted", theirs)):
        logp = logits.log_softmax(-1)
        entropy, loss = (getattr(block.scores[key], side) for key in ("entropy", "heldout_loss"))
        assert entropy.value == pytest.approx(float(-(logp.exp() * logp).sum(-1).mean()), abs=1e-5)
        assert loss.value == pytest.approx(
            float(-logp.gather(-1, rows[:, where + 1, None]).mean()), abs=1e-4
        ), name
    rate = float((ours.argmax(-1) != theirs.argmax(-1)).float().mean())
    assert block.scores["override_rate"].fitted.value == pytest.approx(rate)
    assert block.scores["override_rate"].base.value == 0.0


def test_needs_a_control(planted, make_study):
    with pytest.raises(InputRefused, match="control"):
        evaluated(control.CLAIM, make_study(planted("itself")))
