"""Verdict rules: touching the threshold is wrong, missing is undecided, one failure fails."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperinterp.analyses.results import Measured, Verdict, missing
from hyperinterp.verdicts import RULES, Criterion, adjust, decide, judge, not_tested

FINITE = st.floats(-10, 10)


def figure(value, lo, hi, n=20):
    return Measured(value, lo, hi, n, "prompt", "test")


def holding(claim, size=1.0):
    """Figures that make every criterion of a claim hold, `size` beyond the threshold."""
    found = {}
    for item in RULES[claim].criteria:
        value = item.threshold + (size if item.above else -size)
        found[item.key] = figure(value, value - 0.1 * size, value + 0.1 * size)
    return found


@pytest.mark.parametrize("claim", list(RULES))
def test_a_claim_is_supported_only_when_every_criterion_holds(claim):
    figures = holding(claim)
    assert judge(claim, figures).verdict is Verdict.SUPPORTED
    for item in RULES[claim].criteria:
        wrong = item.threshold + (-1 if item.above else 1)
        failing = figures | {item.key: figure(wrong, wrong - 0.1, wrong + 0.1)}
        assert judge(claim, failing).verdict is Verdict.NOT_SUPPORTED
        unsure = figures | {
            item.key: figure(item.threshold, item.threshold - 1, item.threshold + 1)
        }
        assert judge(claim, unsure).verdict is Verdict.INCONCLUSIVE
        gone = figures | {item.key: missing("no data")}
        assert judge(claim, gone).verdict is Verdict.INCONCLUSIVE


@given(lo=FINITE, width=st.floats(0, 5), threshold=FINITE, above=st.booleans())
def test_decide_reads_the_whole_interval(lo, width, threshold, above):
    hi = lo + width
    found = decide(figure(lo, lo, hi), Criterion("x", "x", threshold, above)).outcome
    right = lo - threshold > 0 if above else threshold - hi > 0
    wrong = hi - threshold <= 0 if above else lo - threshold >= 0
    expected = Verdict.SUPPORTED if right else Verdict.INCONCLUSIVE
    assert found is (Verdict.NOT_SUPPORTED if wrong else expected)


@pytest.mark.parametrize("claim", ["C1", "C5", "C9"])
def test_no_difference_at_all_is_not_supported(claim):
    zero = {item.key: figure(0.0, 0.0, 0.0) for item in RULES[claim].criteria}
    assert judge(claim, zero).verdict is Verdict.NOT_SUPPORTED


def test_the_row_says_what_was_held_against_what():
    claim = judge("C5", holding("C5"))
    assert claim.effect == 1.0
    assert claim.interval == (0.9, 1.1)
    assert claim.threshold == 0.0
    assert "1 [0.9, 1.1], required above 0: holds" in claim.why


def test_a_claim_that_was_not_tested_says_what_it_needs():
    claim = not_tested("C9")
    assert claim.verdict is Verdict.NOT_TESTED
    assert "--control" in claim.why


def test_holm_can_take_a_weak_claim_back():
    weak = {item.key: figure(0.11, 0.0501, 0.17) for item in RULES["C9"].criteria}
    claims = {"C9": judge("C9", weak)} | {
        name: judge(name, holding(name, 0.0501) | {RULES[name].criteria[0].key: weak_one(name)})
        for name in ("C1", "C2", "C3", "C5")
    }
    alone = {"C9": claims["C9"]}
    assert adjust(alone)["C9"].verdict is Verdict.SUPPORTED
    assert adjust(claims)["C9"].verdict is Verdict.INCONCLUSIVE
    assert "Holm" in adjust(claims)["C9"].why


def weak_one(claim):
    item = RULES[claim].criteria[0]
    return figure(item.threshold + 0.06, item.threshold + 0.0001, item.threshold + 0.12)


def test_measured_never_holds_nan():
    with pytest.raises(ValueError, match="finite"):
        Measured(float("nan"))
    with pytest.raises(ValueError, match="reason"):
        Measured(None)
