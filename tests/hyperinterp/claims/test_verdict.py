"""Verdict rules: touching the threshold is wrong, missing is undecided, one failure fails."""

import itertools
import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from hyperinterp.analyses.intervals import mean_of, pair_of, ratio_of, resampled
from hyperinterp.claims.registry import CLAIMS
from hyperinterp.claims.spec import Condition, Criterion, Measured, Verdict, missing
from hyperinterp.claims.verdict import adjust, decide, judge, not_tested, p_value, p_words
from probes import bootstrap_contrast, jackknife

VERDICT = Verdict.INCONCLUSIVE
SPECS = {spec.id: spec for spec in CLAIMS}
FINITE = st.floats(-10, 10)


def figure(value, lo, hi, n=20):
    return Measured(value, lo, hi, n, "prompt", "test")


def holding(claim, size=1.0):
    """Figures that make every criterion of a claim hold, `size` beyond the threshold."""
    found = {}
    for item in SPECS[claim].rule.criteria:
        value = item.threshold + (size if item.above else -size)
        found[item.key] = figure(value, value - 0.1 * size, value + 0.1 * size)
    return found


@pytest.mark.parametrize("claim", list(SPECS))
def test_a_claim_is_supported_only_when_every_criterion_holds(claim):
    figures = holding(claim)
    assert judge(SPECS[claim], figures).verdict is Verdict.SUPPORTED
    for item in SPECS[claim].rule.criteria:
        wrong = item.threshold + (-1 if item.above else 1)
        failing = figures | {item.key: figure(wrong, wrong - 0.1, wrong + 0.1)}
        assert judge(SPECS[claim], failing).verdict is Verdict.NOT_SUPPORTED
        unsure = figures | {
            item.key: figure(item.threshold, item.threshold - 1, item.threshold + 1)
        }
        assert judge(SPECS[claim], unsure).verdict is Verdict.INCONCLUSIVE
        gone = figures | {item.key: missing("no data")}
        assert judge(SPECS[claim], gone).verdict is Verdict.INCONCLUSIVE


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
    zero = {item.key: figure(0.0, 0.0, 0.0) for item in SPECS[claim].rule.criteria}
    assert judge(SPECS[claim], zero).verdict is Verdict.NOT_SUPPORTED


def test_the_row_says_what_was_held_against_what():
    claim = judge(SPECS["C5"], holding("C5"))
    assert claim.effect == 1.0
    assert claim.interval == (0.9, 1.1)
    assert claim.threshold == 0.0
    assert "1 [0.9, 1.1], required above 0: holds" in claim.why


def test_a_claim_that_was_not_tested_says_what_it_needs():
    claim = not_tested(SPECS["C9"])
    assert claim.verdict is Verdict.NOT_TESTED
    assert "--control" in claim.why


def test_holm_can_take_a_weak_claim_back():
    weak = {item.key: figure(0.11, 0.0501, 0.17) for item in SPECS["C9"].rule.criteria}
    claims = {"C9": judge(SPECS["C9"], weak)} | {
        name: judge(
            SPECS[name], holding(name, 0.0501) | {SPECS[name].rule.criteria[0].key: weak_one(name)}
        )
        for name in ("C1", "C2", "C3", "C5")
    }
    alone = {"C9": claims["C9"]}
    assert adjust(alone)["C9"].verdict is Verdict.SUPPORTED
    assert adjust(claims)["C9"].verdict is Verdict.INCONCLUSIVE
    assert "Holm" in adjust(claims)["C9"].why


def weak_one(claim):
    item = SPECS[claim].rule.criteria[0]
    return figure(item.threshold + 0.06, item.threshold + 0.0001, item.threshold + 0.12)


@given(
    value=FINITE, down=st.floats(1e-3, 5), up=st.floats(1e-3, 5), threshold=FINITE,
    n=st.integers(2, 200),
)  # fmt: skip
def test_p_is_below_the_level_just_where_the_interval_leaves_the_threshold_out(
    value, down, up, threshold, n
):
    criterion = Criterion("x", "x", threshold)
    condition = decide(figure(value, value - down, value + up, n), criterion)
    p = p_value([condition])
    gap = threshold - value
    if not (math.isclose(gap, up, rel_tol=1e-6) or math.isclose(-gap, down, rel_tol=1e-6)):
        assert (p < 0.05) == (gap > up or -gap > down)


def test_p_of_a_mean_is_that_of_student():
    values = np.random.default_rng(0).normal(0.3, 1, 12)
    found = mean_of(values)
    p = p_value([decide(found, Criterion("x", "x", 0.0))])
    assert p == pytest.approx(scipy.stats.ttest_1samp(values, 0).pvalue, rel=1e-6)


DISTANCES = np.concatenate([[0.0], np.geomspace(1e-300, 1e300, 62), np.linspace(0.01, 60, 57)])


@pytest.mark.parametrize("claim", list(SPECS))
def test_p_lies_in_range_and_falls_with_the_distance(claim):
    """Together with the widths and sizes below, more than 10^5 values over all rules."""
    item = SPECS[claim].rule.criteria[0]
    for n in (1, 2, 3, 4, 8, 24, 48, 49, 400, 100_000):
        for half in (1e-300, 1e-9, 0.03, 1.0, 1e200):
            for sign in (-1, 1):
                t, p = [], []
                for distance in np.sort(DISTANCES):
                    value = item.threshold + sign * distance
                    lo, hi = value - half, value + half
                    found = figure(value, lo, hi, n)
                    p.append(p_value([Condition("x", found, item.threshold, item.above, VERDICT)]))
                    width = value - lo if sign > 0 else hi - value
                    gap = abs(value - item.threshold)
                    t.append(None if width <= 0 or not gap else gap / width)
                assert min(p) > 0
                assert max(p) <= 1
                _follows_student(t, p, n)


def _follows_student(t, p, n):
    """scipy's own distribution as the oracle; further away never means a larger p."""
    told = [(a, b) for a, b in zip(t, p, strict=True) if a is not None]
    ratios, ours = np.array(told).reshape(-1, 2).T
    freedom = max(n - 1, 1)
    with np.errstate(over="ignore"):
        theirs = 2 * scipy.stats.t.sf(ratios * scipy.stats.t.ppf(0.975, freedom), freedom)
    np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-300)
    order = np.argsort(ratios, kind="stable")
    assert (np.diff(ours[order]) <= 0).all()


EDGES = (0.0, 5e-324, -5e-324, 1e-308, 0.05, -0.05, 1.0, 1e308, -1e308)


@pytest.mark.parametrize("above", [True, False])
def test_no_edge_of_a_figure_stops_a_report(above):
    for value, lo, hi, n in itertools.product(EDGES, EDGES, EDGES, (0, 1, 2, 48, 5000)):
        for threshold in (0.0, 0.05, 1.0):
            found = decide(figure(value, lo, hi, n), Criterion("x", "x", threshold, above))
            assert 0 < p_value([found]) <= 1


@pytest.mark.parametrize("claim", list(SPECS))
def test_an_overwhelming_effect_is_adjusted_like_any_other(claim):
    claims = {
        claim: judge(SPECS[claim], holding(claim, 1e6)),
        "C9": judge(SPECS["C9"], holding("C9", 1e-3)),
    }
    found = adjust(claims)
    assert all(0 < item.p_adjusted <= 1 for item in found.values())
    assert found[claim].verdict is Verdict.SUPPORTED


ODD = ([], [0.5], [0.5, 0.5], [math.nan, 1.0, 2.0], [math.inf, 1.0, 2.0], [1e308, -1e308, 1e308])


@pytest.mark.parametrize("values", ODD, ids=str)
def test_odd_values_are_a_figure_or_a_reason(values):
    ones = np.ones(len(values))
    alike = [mean_of(values), ratio_of(values, ones), ratio_of(ones, values)]
    alike += [pair_of(values, ones).delta, resampled(jackknife, 0.5, values)]
    alike += [
        resampled(bootstrap_contrast, np.outer(values, [1.0, 0.5]), target=0, others=[1], seed=3)
    ]
    for found in alike:
        assert found.value is not None or found.reason
        p = p_value([decide(found, Criterion("x", "x", 0.0))])
        assert p is None or 0 < p <= 1


def test_a_small_p_is_told_as_a_bound():
    assert p_words(2.3e-308) == p_words(0.00099) == "p < 0.001"
    assert (p_words(0.001), p_words(0.0512), p_words(1.0)) == ("p = 0.001", "p = 0.051", "p = 1")


def test_a_claim_has_the_p_of_its_weakest_condition():
    figures = holding("C1") | {"rep_4": figure(-0.1, -0.2, -0.0005)}
    claim = judge(SPECS["C1"], figures)
    assert claim.verdict is Verdict.SUPPORTED
    assert claim.p_value == pytest.approx(0.05, abs=0.003)
    others = {name: judge(SPECS[name], holding(name, 0.0501)) for name in ("C2", "C5")}
    assert adjust({"C1": claim})["C1"].verdict is Verdict.SUPPORTED
    assert adjust(others | {"C1": claim, "C9": claim})["C1"].verdict is Verdict.INCONCLUSIVE


def test_two_prompts_that_agree_are_not_certain():
    figures = {item.key: figure(0.0, 0.0, 0.0, n=2) for item in SPECS["C8"].rule.criteria}
    claims = {"C8": judge(SPECS["C8"], figures)}
    assert adjust(claims)["C8"].p_value == 0.5
    assert adjust(claims)["C8"].verdict is Verdict.INCONCLUSIVE
    many = {"C8": judge(SPECS["C8"], {key: figure(0.0, 0.0, 0.0) for key in figures})}
    assert adjust(many)["C8"].verdict is Verdict.SUPPORTED


def test_measured_never_holds_nan():
    with pytest.raises(ValueError, match="finite"):
        Measured(float("nan"))
    with pytest.raises(ValueError, match="reason"):
        Measured(None)
