"""Jackknife, bootstrap and permutation: theorems, degenerate cases, and scipy as oracle."""

import math
from statistics import NormalDist

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from probes import (
    bootstrap,
    bootstrap_contrast,
    holm,
    jackknife,
    paired_bootstrap,
    paired_jackknife,
    permutation_test,
    pseudo_values,
)
from probes.resampling.estimate import student_cdf, student_quantile

finite = st.floats(-1e6, 1e6)


def leave_out(x: np.ndarray) -> np.ndarray:
    return (x.sum() - x) / (len(x) - 1)


@pytest.mark.parametrize("df", [1, 2, 3, 4, 5, 10, 23, 24, 255, 5000])
def test_student_against_scipy(df: int) -> None:
    for t in (-30.0, -1.7, 0.0, 0.3, 2.5):
        assert student_cdf(t, df) == pytest.approx(stats.t.cdf(t, df), rel=1e-9, abs=1e-12)
    for p in (0.005, 0.025, 0.5, 0.9, 0.975, 0.9995):
        assert student_quantile(p, df) == pytest.approx(stats.t.ppf(p, df), rel=1e-8, abs=1e-12)


@settings(deadline=None)
@given(st.lists(finite, min_size=2, max_size=30), st.floats(0.5, 0.99))
def test_jackknife_of_a_mean_is_the_t_interval(values: list[float], level: float) -> None:
    x = np.array(values)
    found = jackknife(float(x.mean()), leave_out(x), level)
    scale = 1e-9 * (1 + np.abs(x).max())
    se = x.std(ddof=1) / math.sqrt(len(x))
    half = stats.t.ppf((1 + level) / 2, len(x) - 1) * se
    assert found.se == pytest.approx(se, rel=1e-6, abs=scale)
    assert found.hi - found.value == pytest.approx(half, rel=1e-6, abs=100 * scale)
    assert (found.n, found.unit, found.level) == (len(x), "prompt", level)
    np.testing.assert_allclose(pseudo_values(float(x.mean()), leave_out(x)), x, atol=100 * scale)


def test_jackknife_corrects_a_bias_of_order_one_over_n() -> None:
    """The plug-in variance is biased by (n - 1) / n; its jackknife is the unbiased one."""
    x = np.random.default_rng(0).normal(size=20)
    loo = np.array([np.delete(x, i).var() for i in range(20)])
    found = jackknife(float(x.var()), loo, correct=True)
    assert found.value == pytest.approx(x.var(ddof=1))
    assert found.method == "jackknife, bias-corrected"


def test_paired_jackknife_is_that_of_the_difference() -> None:
    rng = np.random.default_rng(0)
    a = rng.normal(size=15)
    b = a + 0.1 * rng.normal(size=15) + 1
    found = paired_jackknife(float(a.mean()), leave_out(a), float(b.mean()), leave_out(b))
    wanted = stats.ttest_rel(b, a).confidence_interval()
    assert (found.lo, found.hi) == pytest.approx((wanted.low, wanted.high))
    assert found.excludes(0.0)
    assert found.method == "paired jackknife"


def test_pseudo_values_of_many_statistics_at_once() -> None:
    x = np.random.default_rng(0).normal(size=(12, 3))
    loo = (x.sum(0) - x) / 11
    np.testing.assert_allclose(pseudo_values(x.mean(0), torch.from_numpy(loo)), x)
    with pytest.raises(ValueError, match="full: expected 3"):
        pseudo_values(x.mean(0)[:2], loo)


def test_nothing_differs_gives_a_zero_wide_interval_at_zero() -> None:
    x = np.random.default_rng(0).lognormal(size=(9, 2))
    loo = leave_out(x[:, 0])
    for found in (
        paired_jackknife(0.3, loo, 0.3, loo),
        paired_bootstrap(x, x),
        paired_bootstrap(x, x, method="bca"),
        paired_bootstrap(x, x, method="percentile"),
        bootstrap_contrast(np.repeat(x[:, :1], 3, axis=1), 0, [1, 2]),
    ):
        assert (found.value, found.lo, found.hi, found.se) == (0.0, 0.0, 0.0, 0.0)
        assert not found.excludes(0.0)
    for alternative in ("two-sided", "greater", "less"):
        assert permutation_test(x[:, 0], x[:, 0], alternative=alternative).p_value == 1.0


@pytest.mark.parametrize("method", ["percentile", "bca", "expanded"])
def test_equal_values_give_a_zero_wide_interval(method: str) -> None:
    found = bootstrap(np.full(7, 0.1), method=method)  # type: ignore[arg-type]
    assert (found.lo, found.value, found.hi, found.se) == pytest.approx((0.1, 0.1, 0.1, 0.0))
    assert found.hi - found.lo < 1e-15


def test_few_units_and_bad_numbers_are_refused() -> None:
    for call in (
        lambda: jackknife(1.0, [1.0]),
        lambda: paired_jackknife(1.0, [1.0], 1.0, [1.0]),
        lambda: pseudo_values(1.0, [1.0]),
        lambda: bootstrap([1.0]),
        lambda: paired_bootstrap([1.0], [1.0]),
        lambda: bootstrap_contrast([[1.0, 2.0]], 0, [1]),
        lambda: permutation_test([1.0], [2.0]),
    ):
        with pytest.raises(ValueError, match="at least 2 units, found 1"):
            call()
    for call in (
        lambda: jackknife(1.0, [1.0, float("nan")]),
        lambda: jackknife(float("inf"), [1.0, 2.0]),
        lambda: bootstrap(torch.tensor([1.0, float("inf")])),
        lambda: bootstrap([1.0, 2.0], lambda x: float("nan")),
    ):
        with pytest.raises(ValueError, match="finite"):
            call()
    for call in (
        lambda: jackknife(1.0, [1.0, 2.0], level=1.0),
        lambda: bootstrap([1.0, 2.0], n_resamples=0),
        lambda: permutation_test([1.0, 2.0], [1.0, 2.0], n=0),
        lambda: permutation_test([1.0, 2.0], [1.0, 2.0, 3.0]),
        lambda: bootstrap_contrast(np.ones((4, 3)), 0, []),
        lambda: bootstrap_contrast(np.ones((4, 3)), 0, [0, 1]),
        lambda: bootstrap_contrast(np.ones((4, 3)), 3, [0, 1]),
        lambda: bootstrap_contrast(np.ones(4), 0, [1]),
    ):
        with pytest.raises(ValueError, match="expected"):
            call()


@pytest.mark.parametrize("method", ["percentile", "bca"])
def test_bootstrap_against_scipy(method: str) -> None:
    x = np.random.default_rng(0).lognormal(size=40)
    wanted = stats.bootstrap(
        (x,), np.mean, n_resamples=20_000, method=method, rng=np.random.default_rng(1)
    )
    found = bootstrap(x, n_resamples=20_000, method=method)  # type: ignore[arg-type]
    assert found.value == pytest.approx(x.mean())
    assert found.lo == pytest.approx(wanted.confidence_interval.low, rel=0.01)
    assert found.hi == pytest.approx(wanted.confidence_interval.high, rel=0.02)
    assert found.se == pytest.approx(wanted.standard_error, rel=0.02)


def test_bootstrap_of_any_statistic() -> None:
    x = np.random.default_rng(0).normal(size=(60, 2))
    x[:, 1] += x[:, 0]

    def correlation(v: np.ndarray) -> float:
        return float(np.corrcoef(v.T)[0, 1])

    found = bootstrap(x, correlation, n_resamples=800, method="bca")
    wanted = stats.pearsonr(x[:, 0], x[:, 1]).confidence_interval()
    assert (found.lo, found.hi) == pytest.approx((wanted.low, wanted.high), abs=0.08)


def test_expanded_percentile_is_as_wide_as_students() -> None:
    x = np.random.default_rng(0).normal(size=12)
    found = bootstrap(x, n_resamples=50_000, method="expanded")
    wanted = jackknife(float(x.mean()), leave_out(x))
    assert found.hi - found.lo == pytest.approx(wanted.hi - wanted.lo, rel=0.05)


def test_same_seed_same_interval() -> None:
    x = np.random.default_rng(0).normal(size=12)
    assert bootstrap(x, seed=3) == bootstrap(x, seed=3)
    assert bootstrap(x, seed=3) != bootstrap(x, seed=4)
    assert bootstrap(torch.from_numpy(x)) == bootstrap(x) == bootstrap(x.tolist())


def test_paired_bootstrap_uses_the_pairs() -> None:
    rng = np.random.default_rng(0)
    a = 100 * rng.normal(size=30)
    found = paired_bootstrap(a, a + 1 + 0.1 * rng.normal(size=30))
    assert found.value == pytest.approx(1, abs=0.1)
    assert found.hi - found.lo < 0.2
    assert found.method == "paired bootstrap, expanded"


def test_contrast_is_target_less_the_largest_other() -> None:
    pseudo = np.random.default_rng(0).normal((5.0, 0.0, 2.0, 1.0), 1.0, (25, 4))
    found = bootstrap_contrast(pseudo, 0, [1, 2, 3])
    centre = pseudo.mean(0)
    assert found.value == pytest.approx(centre[0] - centre[1:].max())
    assert found.lo < found.value < found.hi
    assert found.excludes(0.0)
    assert bootstrap_contrast(pseudo, 2, [0]).hi < 0


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(-9, 9), min_size=2, max_size=8))
def test_permutation_against_scipy(difference: list[int]) -> None:
    b = np.array(difference, dtype=float)  # small whole numbers: plenty of exact ties
    for alternative in ("two-sided", "greater", "less"):
        found = permutation_test(np.zeros_like(b), b, alternative=alternative)
        wanted = stats.permutation_test(
            (b,),
            lambda x, axis: np.sum(x, axis=axis),
            permutation_type="samples",
            alternative=alternative,
            n_resamples=np.inf,
            vectorized=True,
        )
        assert found.exact
        assert found.p_value == pytest.approx(wanted.pvalue)
        assert found.statistic == pytest.approx(float(b.mean()))


def test_permutation_by_sampling_agrees_with_the_exact_one() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=13), rng.normal(size=13) + 0.6
    exact = permutation_test(a, b)
    sampled = permutation_test(a, b, n=8000)
    assert (exact.exact, sampled.exact) == (True, False)
    assert exact.n_permutations == 2**13
    assert sampled.p_value == pytest.approx(exact.p_value, abs=0.015)
    assert permutation_test(a, a + 1, n=99).p_value == 1 / 100


def test_p_values_are_uniform_under_the_null() -> None:
    rng = np.random.default_rng(0)
    p = [permutation_test(*rng.normal(size=(2, 20)), n=199).p_value for _ in range(400)]
    assert np.mean(np.array(p) <= 0.05) == pytest.approx(0.05, abs=0.03)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm({"C1": 0.5, "C5": 0.6}) == {"C1": 1.0, "C5": 1.0}
    assert holm([]) == []
    assert holm({}) == {}
    for bad in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="p_values"):
            holm([0.5, bad])


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_is_monotone_and_between_raw_and_bonferroni(p: list[float]) -> None:
    adjusted = holm(p)
    for raw, value in zip(p, adjusted, strict=True):
        assert raw <= value <= min(1.0, len(p) * raw) + 1e-12 or value == max(adjusted)
        assert raw <= value <= 1
    order = np.argsort(p)
    assert (np.diff(np.array(adjusted)[order]) >= 0).all()


def test_expanded_tail_formula() -> None:
    """Hesterberg's: the normal tail at sqrt(n / (n - 1)) times Student's quantile."""
    from probes.resampling.bootstrap import _tails

    lo, hi = _tails(10, 0.95, expanded=True)
    assert lo == pytest.approx(NormalDist().cdf(math.sqrt(10 / 9) * stats.t.ppf(0.025, 9)))
    assert hi == pytest.approx(1 - lo)
