from dataclasses import replace

import numpy as np
import pytest

from hyperinterp.analyses.scoring import compared, values
from hyperinterp.claims import placement
from hyperinterp.claims.placement.measurement import quantities, units
from hyperinterp.claims.placement.words import beats, caveat
from hyperinterp.claims.running import evaluated, lacking
from hyperinterp.claims.spec import Verdict

from ..tiny import changed


def _looping(model, name):
    """A copy that writes one thing over and over."""

    def loop(hf):
        hf.model.layers[-1].mlp.down_proj.weight[0].fill_(30.0)

    return changed(model, loop, name)


def _facts(blocks, loss=0.04, trainable=100):
    return {"trained_blocks": blocks, "epoch_loss": loss, "trainable": trainable}


@pytest.fixture
def study(make_tiny, make_study):
    """A base that loops, a twin of the last block that does not, one of the first that does."""
    free = make_tiny(0)
    found = make_study((_looping(free, "base"), free))
    found.fitted.provenance = _facts([2])
    first = _looping(free, "first")
    first.provenance = _facts([0])
    found.roles |= {"elsewhere 0": first}
    return found


def test_last_blocks_that_alone_bring_diversity_are_supported(study):
    result, claim = evaluated(placement.CLAIM, study)
    assert claim.verdict is Verdict.SUPPORTED, claim.why
    assert [(twin.role, twin.blocks) for twin in result.twins] == [
        ("base", None), ("fitted", "2"), ("elsewhere", "0"),
    ]  # fmt: skip
    texts = [study.shared.texts.greedy(role) for role in ("base", "fitted", "elsewhere 0")]
    ttr = [values(side, "ttr", np.ones(16, bool)) for side in compared(study.sizes.window, *texts)]
    assert result.margin.value == pytest.approx(float((ttr[1] - ttr[2]).mean()))
    assert result.gain.value == pytest.approx(float((ttr[1] - ttr[0]).mean()))
    for key, found in units(result).items():
        assert np.mean(list(found.values())) == pytest.approx(quantities(result)[key].value)
    assert caveat(claim, result) == ""
    assert [item.measured for item in beats(result, {})] == [result.twins[2].gain]


def test_another_place_that_does_the_same_is_not_supported(study):
    twin = changed(study.fitted, lambda hf: None, "first")
    twin.provenance = _facts([0])
    study.roles |= {"elsewhere 1": twin}
    result, claim = evaluated(placement.CLAIM, study)
    assert (result.best, claim.verdict) == ("first", Verdict.NOT_SUPPORTED)
    assert result.margin.value == 0.0


@pytest.mark.parametrize(
    ("fitted", "other", "reason"),
    [
        (_facts([0]), _facts([1]), "trained in blocks 0, not in the last"),
        (_facts([0, 1, 2]), _facts([0]), "trained in all blocks"),
        (_facts([2]), _facts([2]), "in the same blocks"),
        (_facts([2]), _facts([0], trainable=90), "90 of its parameters were trained, 100 of"),
        (_facts([2]), _facts([0], loss=0.2), "loss 0.2 is not equal to the fitted model's 0.04"),
    ],
)
def test_twins_that_differ_in_more_than_the_place_leave_it_undecided(study, fitted, other, reason):
    study.fitted.provenance, study.model("elsewhere 0").provenance = fitted, other
    result, claim = evaluated(placement.CLAIM, study)
    assert reason in result.unequal
    assert reason in claim.why
    assert claim.verdict is Verdict.INCONCLUSIVE
    assert result.margin.value is not None
    assert "margin" not in units(result)


def test_one_twin_that_learnt_less_does_not_speak_for_the_others(study):
    """It is set aside by name, and the rest decide as if it were not there."""
    unequal = changed(study.fitted, lambda hf: None, "middle")  # as diverse as the fitted model
    unequal.provenance = _facts([1], loss=0.3)
    study.roles |= {"elsewhere 1": unequal}
    result, claim = evaluated(placement.CLAIM, study)
    assert [twin.apart for twin in result.twins] == [
        "", "", "", "its training loss 0.3 is not equal to the fitted model's 0.04",
    ]  # fmt: skip
    assert claim.verdict is Verdict.SUPPORTED
    ttr = [twin.ttr.value for twin in result.twins]
    assert result.margin.value == pytest.approx(ttr[1] - ttr[2])
    assert result.best == "first"
    assert "middle is set aside: its training loss 0.3 is not equal" in caveat(claim, result)
    assert "middle is set aside" in result.tables()[0].note
    figure = result.charts()[0].figure()
    assert [trace.name for trace in figure.data] == ["base", "fitted", "elsewhere", "set aside"]
    unequal.provenance = _facts([1])
    assert evaluated(placement.CLAIM, study)[1].verdict is Verdict.NOT_SUPPORTED


def test_what_was_not_recorded_is_said(study):
    study.model("elsewhere 0").provenance = {}
    result, claim = evaluated(placement.CLAIM, study)
    assert claim.verdict is Verdict.SUPPORTED
    assert "blocks, trained parameters, training loss" in caveat(claim, result)


def test_without_another_placement_it_is_not_tested(study):
    study.roles = {}
    assert "--elsewhere" in lacking(placement.CLAIM, study)


def test_it_draws_and_tabulates_itself(study):
    result, _ = evaluated(placement.CLAIM, study)
    (chart,) = result.charts()
    assert [key for key, _ in chart.variants()] == ["ttr", "gain", "rep_4"]
    assert [table.name for table in result.tables()] == ["quantities", "twins", "prompts"]
    assert len(result.tables()[2].rows) == 16 * 3
    assert replace(result, twins=result.twins[:2]).charts()[0].figure() is not None
