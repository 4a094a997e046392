from dataclasses import replace

import numpy as np
import pytest
import torch

from hyperinterp.analyses.recipes import recorded
from hyperinterp.capture import chosen_positions
from hyperinterp.claims import expansion, late_stage
from hyperinterp.claims.running import evaluated
from hyperinterp.claims.spec import Verdict
from hyperinterp.errors import InputRefused

from ..tiny import changed


def _stuck(model, name="base", size=30.0):
    """A copy whose last block drowns the stream in one direction, so that it repeats itself."""

    def loop(hf):
        hf.model.layers[-1].mlp.down_proj.weight[0].fill_(size)

    return changed(model, loop, name)


@pytest.fixture
def study(make_tiny, make_study):
    """A base that loops, a twin that does not, and two late-stage twins: as good, and no good."""
    fitted = make_tiny(0)
    base = _stuck(fitted)
    found = make_study((base, fitted), contexts_per_prompt=8)
    late = changed(fitted, lambda hf: None, "late")
    late.provenance = {
        "trained_blocks": [2], "trainable": 1234, "epoch_loss": 0.04,
    }  # fmt: skip
    found.roles |= {"late-stage 0": late, "late-stage 1": _stuck(fitted, "sweep")}
    return found


def test_a_twin_as_diverse_as_the_reference_is_sufficient(study):
    block, claim = evaluated(late_stage.CLAIM, study)
    assert block.gain_share.value == pytest.approx(1.0)
    assert block.difference.value == 0.0
    assert claim.verdict is Verdict.SUPPORTED, claim.why
    assert [twin.role for twin in block.twins] == ["base", "fitted", "late-stage", "sweep"]
    assert [twin.name for twin in block.twins] == [
        "base", study.fitted.name, "late", "sweep",
    ]  # fmt: skip
    base, fitted, late, sweep = block.twins
    assert late.ttr == fitted.ttr
    assert sweep.ttr == base.ttr
    assert (late.trained_layers, late.trainable_parameters, late.train_loss) == (1, 1234, 0.04)
    assert late.share_of_layers == pytest.approx(1 / 3)
    assert fitted.trained_layers is None
    assert base.last_delta.value is None
    assert sweep.last_delta.value == pytest.approx(0.0, abs=1e-6)
    assert late.last_delta.value == pytest.approx(fitted.last_delta.value, rel=1e-6)


def test_a_twin_no_better_than_the_base_is_not(study):
    first, second = (study.model(f"late-stage {number}") for number in (0, 1))
    study.roles |= {"late-stage 0": second, "late-stage 1": first}
    block, claim = evaluated(late_stage.CLAIM, study)
    assert block.gain_share.value == pytest.approx(0.0)
    assert claim.verdict is Verdict.NOT_SUPPORTED
    assert block.difference.value < 0


def test_without_a_gain_of_the_reference_there_is_no_share(planted, make_study):
    found = make_study(planted("itself"), contexts_per_prompt=4)
    found.roles["late-stage 0"] = found.fitted
    block, claim = evaluated(late_stage.CLAIM, found)
    assert "no gain" in block.gain_share.reason
    assert claim.verdict is Verdict.INCONCLUSIVE


def test_entropy_and_loss_are_those_of_full_forwards(study):
    block, _ = evaluated(late_stage.CLAIM, study)
    rows = torch.tensor(study.heldout.rows.rows)
    where = torch.tensor(chosen_positions(rows.shape[1], 8))
    for twin, model in zip(block.twins, study.models.values(), strict=True):
        logp = model.logits(rows)[:, where].double().log_softmax(-1)
        entropy = -(logp.exp() * logp).sum(-1).mean()
        loss = -logp.gather(-1, rows[:, where + 1, None]).mean()
        assert twin.entropy.value == pytest.approx(float(entropy), abs=1e-5)
        assert twin.heldout_loss.value == pytest.approx(float(loss), abs=1e-4)
        assert twin.entropy.lo <= twin.entropy.value <= twin.entropy.hi


def test_growth_at_the_last_block_is_that_of_the_geometry_block(study):
    alone, _ = evaluated(late_stage.CLAIM, study)
    study = replace(study, wanted=frozenset({"moments"}))
    shared, _ = evaluated(late_stage.CLAIM, study)
    profile, _ = evaluated(expansion.CLAIM, study)
    expected = profile.last_delta
    for block in (alone, shared):
        found = block.twins[1].last_delta
        assert (found.value, found.lo, found.hi) == pytest.approx(
            (expected.value, expected.lo, expected.hi), rel=1e-4
        )


def test_needs_a_twin(planted, make_study):
    with pytest.raises(InputRefused, match="late-stage"):
        evaluated(late_stage.CLAIM, make_study(planted("itself")))


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({}, (None, None, None)),
        ({"trained_blocks": [0, 1, 2], "trainable": 9, "epoch_loss": 0}, (3, 9, 0.0)),
        ({"trained_blocks": [0, 1], "epoch_loss": None}, (None, None, None)),
        ({"trained_blocks": [1, 2]}, (2, None, None)),
        ({"trained_blocks": [99]}, (None, None, None)),
        ({"trained_blocks": "two"}, (None, None, None)),
        (
            {"trained_blocks": [], "trainable": "many", "epoch_loss": float("nan")},
            (None, None, None),
        ),
        ({"trainable": True, "epoch_loss": np.inf}, (None, None, None)),
    ],
)
def test_a_recipe_is_read_leniently(make_tiny, facts, expected):
    model = make_tiny()
    model.provenance = facts
    found = recorded(model)
    assert (found.layers, found.trainable, found.loss) == expected
