"""Intervals over seeds and prompts: coverage by simulation, theorems, and what is refused."""

import numpy as np
import pytest
from scipy import stats

from benchmarks.seeds import SPREADS, own, percentile, simulated
from probes import Estimate, hierarchical_bootstrap, over_seeds


@pytest.mark.parametrize("seeds", [3, 8])
def test_intervals_hold_the_truth_and_a_recipe_without_effect_is_not_supported(seeds: int) -> None:
    studies = 60
    found = dict.fromkeys(("held", "own", "plain", "false", "single"), 0)
    for name, number in ((name, k) for name in SPREADS for k in range(studies)):
        values = simulated(seeds, SPREADS[name], number)
        ours = hierarchical_bootstrap(values, n_resamples=300, seed=number)
        each = [own(row) for row in values]
        low, high = percentile(values, number, 200)
        found["held"] += not ours.excludes()
        found["own"] += not over_seeds(each).excludes()
        found["plain"] += low <= 0 <= high
        found["false"] += ours.lo > 0
        found["single"] += each[0].lo > 0
    whole = studies * len(SPREADS)
    assert 0.92 < found["held"] / whole < 0.98
    assert 0.92 < found["own"] / whole < 0.99
    assert found["false"] / whole < 0.05 < found["single"] / whole
    assert found["plain"] < found["held"]


def test_without_prompts_that_differ_it_is_students_interval_of_the_seeds() -> None:
    centres = np.array([0.1, 0.3, 0.2, 0.6])
    found = hierarchical_bootstrap(np.repeat(centres[:, None], 9, axis=1), n_resamples=40_000)
    wanted = stats.t.interval(0.95, 3, centres.mean(), stats.sem(centres))
    assert (found.lo, found.hi) == pytest.approx(wanted, abs=0.02)
    exact = [Estimate(float(value), float(value), float(value), 0.0, 9, "") for value in centres]
    summed = over_seeds(exact)
    assert (summed.lo, summed.hi) == pytest.approx(wanted)
    assert (found.n, summed.n, found.unit) == (4, 4, "seed")


def test_without_seeds_that_differ_it_is_students_interval_of_the_prompts() -> None:
    texts = np.random.default_rng(0).standard_normal(20)
    found = hierarchical_bootstrap(np.repeat(texts[None], 5, axis=0), n_resamples=40_000)
    wanted = stats.t.interval(0.95, 19, texts.mean(), stats.sem(texts))
    assert (found.lo, found.hi) == pytest.approx(wanted, rel=0.02)
    half = (wanted[1] - wanted[0]) / 2
    centre = float(texts.mean())
    one = Estimate(centre, centre - half, centre + half, half, 20, "t")
    assert over_seeds([one] * 5).lo == pytest.approx(wanted[0])


def test_it_moves_and_grows_with_the_values() -> None:
    values = np.random.default_rng(1).standard_normal((4, 12))
    found, moved = hierarchical_bootstrap(values), hierarchical_bootstrap(3 * values + 1)
    assert (moved.lo, moved.hi) == pytest.approx((3 * found.lo + 1, 3 * found.hi + 1))
    assert found == hierarchical_bootstrap(values)
    equal = hierarchical_bootstrap(np.full((3, 4), 0.1))
    assert equal.lo == equal.value == equal.hi


def test_sides_of_unequal_intervals_stay_unequal() -> None:
    uneven = Estimate(1.0, 0.9, 1.4, 0.1, 24, "")
    found = over_seeds([uneven] * 3)
    assert (found.lo, found.hi) == pytest.approx((0.9, 1.4))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([[1.0, 2.0]], "at least 2 units"), ([[1.0], [2.0]], "2 or more each"),
        ([1.0, 2.0, 3.0], "2 or more each"), ([[1.0, np.nan], [1.0, 2.0]], "finite"),
    ],
)  # fmt: skip
def test_bad_values_are_refused(values: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        hierarchical_bootstrap(values)
    with pytest.raises(ValueError, match="n_resamples"):
        hierarchical_bootstrap([[1.0, 2.0], [1.0, 2.0]], n_resamples=1)


def test_estimates_of_several_levels_are_refused() -> None:
    one = Estimate(1.0, 0.0, 2.0, 1.0, 9, "")
    with pytest.raises(ValueError, match="one level"):
        over_seeds([one, Estimate(1.0, 0.0, 2.0, 1.0, 9, "", level=0.9)])
    with pytest.raises(ValueError, match="at least 2"):
        over_seeds([one])
