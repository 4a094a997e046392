"""Bootstrap intervals: draw units with replacement."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float64

from .estimate import (
    NORMAL,
    Estimate,
    Values,
    check_level,
    paired_values,
    student_quantile,
    unit_values,
)

Method = Literal["percentile", "expanded", "bca"]
Statistic = Callable[[Float64[np.ndarray, " g *rest"]], float]

_BLOCK = 1 << 22
"""Entries of a block of resamples: bounds memory."""


def mean(values: Float64[np.ndarray, " g *rest"]) -> float:
    """The mean of all entries, the default statistic."""
    return float(values.mean())


def bootstrap(
    values: Values,
    statistic: Statistic = mean,
    n_resamples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
    method: Method = "percentile",
    unit: str = "prompt",
) -> Estimate:
    """Bootstrap interval of a statistic of independent units.

    Args:
        values: one entry per unit, [G] or [G ...].
        statistic: from resampled values [G ...] to a number; the mean by default.
        n_resamples: number of resamples.
        seed: of numpy's PCG64; the same seed gives the same interval.
        level: nominal coverage.
        method: "percentile"; "expanded", the percentile interval widened to what Student's t
            would give for a mean (use it for G below about 50); "bca", corrected for bias and
            acceleration.
        unit: what one unit is.

    Raises:
        ValueError: with fewer than 2 units, NaN or infinity (in the values or the statistic), or
            an argument out of range.

    Source: Efron 1987 (BCa); Hesterberg 2015, arXiv:1411.5279 (expanded percentile).

    >>> bootstrap([1.0, 1.0, 1.0]).se
    0.0
    """
    x = unit_values(values, "values")
    _check_resampling(n_resamples, level, method)
    draws = _resampled(x, statistic, n_resamples, seed)
    value = _finite_statistic(statistic, x)
    if method == "bca":
        units = np.arange(len(x))
        left = np.array([_finite_statistic(statistic, x[units != g]) for g in units])
        tails = _bca_tails(draws, value, left, level)
    else:
        tails = _tails(len(x), level, expanded=method == "expanded")
    return _estimate(value, draws, tails, len(x), f"bootstrap, {method}", unit, level)


def paired_bootstrap(
    a: Values,
    b: Values,
    n_resamples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
    method: Method = "expanded",
    unit: str = "prompt",
) -> Estimate:
    """Bootstrap interval of the mean difference b - a, the same units drawn for both.

    Args:
        a: one entry per unit, [G] or [G ...].
        b: the same units, in the same order.
        n_resamples: number of resamples.
        seed: as in `bootstrap`.
        level: nominal coverage.
        method: as in `bootstrap`.
        unit: what one unit is.

    Raises:
        ValueError: as in `bootstrap`, and if the shapes differ.

    >>> paired_bootstrap([1.0, 2.0, 3.0], [2.0, 3.0, 4.0]).lo
    1.0
    """
    x, y = paired_values(a, b, "a", "b")
    single = bootstrap(y - x, mean, n_resamples, seed, level, method, unit)
    return replace(single, method=f"paired {single.method}")


def bootstrap_contrast(
    pseudo: Values,
    target: int,
    others: Sequence[int],
    n_resamples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
    unit: str = "prompt",
) -> Estimate:
    """Interval of "the target less the largest of the others", units drawn for all at once.

    With pseudo-values of a paired difference at every site, this is delta_target - max delta_other.
    The largest of several noisy means is biased up, here and again in every resample. That keeps
    the lower end, a percentile expanded for small G, on the safe side. The upper end must not use
    it: the contrast is at most the target less any one of the others, so it is the least of the
    upper ends of those differences (Student's t, Bonferroni over the others).

    Args:
        pseudo: one value per unit and site, [G S]; see `pseudo_values`.
        target: index of the site in question.
        others: indices of the sites to compare with.
        n_resamples: number of resamples.
        seed: as in `bootstrap`.
        level: nominal coverage.
        unit: what one unit is.

    Raises:
        ValueError: with fewer than 2 units, no others, an index out of range, the target among
            the others, NaN or infinity.

    Source: pseudo-values after Tukey 1958; the expanded percentile interval is Hesterberg's,
    arXiv:1411.5279. Their combination with a maximum is ours.

    >>> bootstrap_contrast([[5.0, 1.0, 2.0], [5.0, 1.0, 2.0]], 0, [1, 2]).value
    3.0
    """
    x = unit_values(pseudo, "pseudo")
    if x.ndim != 2:
        raise ValueError(f"pseudo: expected [G S], found {x.shape}")
    rest = list(others)
    if not rest or target in rest:
        raise ValueError(f"others: expected sites other than {target}, found {rest}")
    wrong = [i for i in [target, *rest] if not 0 <= i < x.shape[1]]
    if wrong:
        raise ValueError(f"others: expected sites in [0, {x.shape[1]}), found {wrong[0]}")
    _check_resampling(n_resamples, level, "expanded")
    means = _resampled_means(x, n_resamples, seed)
    draws = means[:, target] - means[:, rest].max(axis=1)
    apart = x[:, [target]] - x[:, rest]
    value = float(apart.mean(axis=0).min())
    tails = _tails(len(x), level, expanded=True)
    method = "bootstrap of pseudo-values, expanded; upper end by pairs"
    found = _estimate(value, draws, tails, len(x), method, unit, level)
    return replace(found, hi=_least_upper_end(apart, level))


def _least_upper_end(apart: Float64[np.ndarray, "g s"], level: float) -> float:
    """The least of the upper ends of several means, all of them right at once."""
    units, several = apart.shape
    width = -student_quantile((1 - level) / 2 / several, units - 1)
    # About one unit's values, so that units that are all equal have no spread at all.
    se = (apart - apart[0]).std(axis=0, ddof=1) / math.sqrt(units)
    return float((apart.mean(axis=0) + width * se).min())


def _check_resampling(n_resamples: int, level: float, method: str) -> None:
    check_level(level)
    if n_resamples < 1:
        raise ValueError(f"n_resamples: expected 1 or more, found {n_resamples}")
    if method not in get_args(Method):
        raise ValueError(f"method: expected one of {get_args(Method)}, found {method!r}")


def _finite_statistic(statistic: Statistic, x: Float64[np.ndarray, " g *rest"]) -> float:
    value = float(statistic(x))
    if not math.isfinite(value):
        raise ValueError(f"statistic: expected a finite number, found {value}")
    return value


def _resampled(
    x: Float64[np.ndarray, " g *rest"], statistic: Statistic, n_resamples: int, seed: int
) -> Float64[np.ndarray, " b"]:
    if statistic is mean:
        return _resampled_means(x.reshape(len(x), -1).mean(axis=1)[:, None], n_resamples, seed)[
            :, 0
        ]
    rng = np.random.default_rng(seed)
    picks = (rng.integers(0, len(x), len(x)) for _ in range(n_resamples))
    return np.array([_finite_statistic(statistic, x[pick]) for pick in picks])


def _resampled_means(
    x: Float64[np.ndarray, "g s"], n_resamples: int, seed: int
) -> Float64[np.ndarray, "b s"]:
    """Means over units of each resample, from how often each unit was drawn."""
    rng = np.random.default_rng(seed)
    units = len(x)
    # About one unit's values, so that units that are all equal give resamples that are all equal.
    offset = x[0]
    out: list[Float64[np.ndarray, "b s"]] = []
    for start in range(0, n_resamples, max(1, _BLOCK // units)):
        size = min(max(1, _BLOCK // units), n_resamples - start)
        times = rng.multinomial(units, np.full(units, 1 / units), size=size)
        out.append(times @ (x - offset) / units + offset)
    return np.concatenate(out)


def _tails(units: int, level: float, *, expanded: bool) -> tuple[float, float]:
    tail = (1 - level) / 2
    if expanded:
        wider = math.sqrt(units / (units - 1)) * student_quantile(tail, units - 1)
        tail = NORMAL.cdf(wider)
    return tail, 1 - tail


def _bca_tails(
    draws: Float64[np.ndarray, " b"],
    value: float,
    left: Float64[np.ndarray, " g"],
    level: float,
) -> tuple[float, float]:
    tail = (1 - level) / 2
    apart = left.mean() - left
    spread = float(np.square(apart).sum())
    if spread <= 0 or float(np.ptp(draws)) <= 0:
        return tail, 1 - tail
    below = float((draws < value).mean() + (draws == value).mean() / 2)
    edge = 0.5 / len(draws)
    bias = NORMAL.inv_cdf(min(max(below, edge), 1 - edge))
    acceleration = float((apart**3).sum()) / (6 * spread**1.5)

    def adjusted(p: float) -> float:
        z = bias + NORMAL.inv_cdf(p)
        return NORMAL.cdf(bias + z / max(1 - acceleration * z, 1e-6))

    return adjusted(tail), adjusted(1 - tail)


def _estimate(
    value: float,
    draws: Float64[np.ndarray, " b"],
    tails: tuple[float, float],
    units: int,
    method: str,
    unit: str,
    level: float,
) -> Estimate:
    lo, hi = (float(q) for q in np.quantile(draws, tails))
    se = float(draws.std(ddof=1)) if len(draws) > 1 and np.ptp(draws) > 0 else 0.0
    return Estimate(value, lo, hi, se, units, method, unit, level)
