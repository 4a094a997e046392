"""Intervals of the figures that analyses report; the prompt is the unit, pairs stay paired."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hyperinterp.claims.spec import Measured, Pair, missing
from probes import (
    Estimate,
    LeaveOneOut,
    bootstrap_contrast,
    jackknife,
    paired_jackknife,
    pseudo_values,
)

Values = Sequence[float] | np.ndarray | Tensor

NOTHING = 1e-12
"""A sum up to this is rounding: there is nothing to explain, to recover or to undo."""


def measured(estimate: Estimate) -> Measured:
    """Return a resampling estimate as a measured value; missing where a number overflowed."""
    if not all(map(math.isfinite, (estimate.value, estimate.lo, estimate.hi))):
        return missing("the values are too large for an interval in double precision")
    return Measured(
        value=estimate.value,
        lo=estimate.lo,
        hi=estimate.hi,
        n=estimate.n,
        unit=estimate.unit,
        method=estimate.method,
    )


def _array(values: float | Values) -> np.ndarray:
    return np.asarray(values, dtype=np.float64)


def resampled(method: Callable[..., Estimate], *numbers: float | Values, **rest: Any) -> Measured:
    """A figure from a resampling method of `probes`, or why these numbers have none.

    Args:
        method: such as `jackknife` or `bootstrap_contrast`.
        numbers: its first arguments; those with a shape hold one entry per unit.
        rest: its other arguments.
    """
    arrays = [_array(item) for item in numbers]
    if any(len(array) < 2 for array in arrays if array.ndim):
        return missing("fewer than two prompts have a defined value")
    if not all(np.isfinite(array).all() for array in arrays):
        return missing("NaN or infinity among the values of single prompts")
    with np.errstate(over="ignore", invalid="ignore"):  # `measured` gives the reason
        return measured(method(*numbers, **rest))


def _left_out_means(values: np.ndarray) -> np.ndarray:
    return (values.sum() - values) / (len(values) - 1)


def mean_of(values: Values, *, unit: str = "prompt") -> Measured:
    """Mean of per-prompt values with its jackknife interval.

    Missing (with the reason) when there is no value; without an interval when there is one.
    """
    array = _array(values)
    if len(array) == 0:
        return missing("no prompt has a defined value")
    if len(array) == 1:
        return _alone(float(array[0]))
    with np.errstate(over="ignore", invalid="ignore"):
        full, left = float(array.mean()), _left_out_means(array)
    return resampled(jackknife, full, left, unit=unit)


def _alone(value: float) -> Measured:
    """The value of a single prompt: no interval."""
    return Measured(value, n=1) if math.isfinite(value) else missing("the value is not finite")


def pair_of(base: Values, fitted: Values, *, unit: str = "prompt") -> Pair:
    """Means of per-prompt values of both models, and their paired difference."""
    ours, theirs = _array(base), _array(fitted)
    with np.errstate(over="ignore", invalid="ignore"):
        apart = theirs - ours
    return Pair(mean_of(ours, unit=unit), mean_of(theirs, unit=unit), mean_of(apart, unit=unit))


def grouped(values: Tensor, row: Tensor) -> np.ndarray:
    """Sums of per-context values within each token row, in ascending order of rows."""
    _, index = torch.unique(row, return_inverse=True)
    sums = torch.zeros(int(index.max()) + 1, dtype=torch.float64)
    return sums.index_add_(0, index, values.double().cpu()).numpy()


def _ratio(numerators: np.ndarray, denominators: np.ndarray) -> tuple[float, np.ndarray] | None:
    with np.errstate(over="ignore", invalid="ignore"):
        total, whole = denominators.sum(), numerators.sum()
        left = total - denominators
        if total == 0 or (left == 0).any():
            return None
        return float(whole / total), (whole - numerators) / left


_NO_RATIO = missing("the denominator is zero (with some prompt left out)")


def ratio_of(numerators: Values, denominators: Values, *, unit: str = "prompt") -> Measured:
    """Ratio of sums over prompts with its jackknife interval.

    Missing (with the reason) when the denominator vanishes, also with any one of several prompts
    left out; without an interval when there is one prompt.
    """
    ours, theirs = _array(numerators), _array(denominators)
    if len(ours) == 1 and theirs[0] != 0:
        return _alone(float(ours[0] / theirs[0]))
    found = _ratio(ours, theirs)
    return _NO_RATIO if found is None else resampled(jackknife, *found, unit=unit)


def ratio_pair(
    base: tuple[Values, Values], other: tuple[Values, Values], *, unit: str = "prompt"
) -> Pair:
    """Two ratios of sums over the same prompts, and their paired difference.

    Args:
        base: numerators and denominators, one of each per prompt.
        other: the same of the second text or model, prompts in the same order.
        unit: what was resampled.
    """
    first, second = (ratio_of(*side, unit=unit) for side in (base, other))
    ours, theirs = (_ratio(*map(_array, side)) for side in (base, other))
    if ours is None or theirs is None:
        return Pair(first, second, _NO_RATIO)
    if first.value is None or second.value is None:
        return Pair(first, second, missing(first.reason or second.reason))
    return Pair(first, second, resampled(paired_jackknife, *ours, *theirs, unit=unit))


def context_mean(values: Tensor, row: Tensor) -> Measured:
    """Mean over contexts, the interval by token row (prompt)."""
    return ratio_of(grouped(values, row), grouped(torch.ones_like(values, dtype=torch.float), row))


def remaining_share(left: Tensor, whole: Tensor, row: Tensor) -> Measured:
    """Sum of `left` over sum of `whole`, per-context values, the interval by prompt.

    Where there is nothing to explain (`whole` sums to zero), nothing is left: the share is 0
    with a zero-width interval.
    """
    wholes = grouped(whole, row)
    if wholes.sum() <= NOTHING:
        return nothing(len(wholes), "nothing to explain: the models agree")
    return ratio_of(grouped(left, row), wholes)


def nothing(prompts: int, why: str) -> Measured:
    """A share of nothing: 0 with an interval without width, and the reason as its method."""
    return Measured(0.0, 0.0, 0.0, prompts, "prompt", why)


def share_contrast(gains: Sequence[Tensor], whole: Tensor, row: Tensor, seed: int) -> Measured:
    """The share of `whole` that the first of several gains is, minus the largest of the others'.

    The largest is chosen anew in every resample of prompts. Where there is nothing to gain, the
    difference is 0 with a zero-width interval.

    Args:
        gains: per-context values, the one in question first.
        whole: per-context values.
        row: prompt of each context.
        seed: of the bootstrap.
    """
    wholes = grouped(whole, row)
    total, left = wholes.sum(), wholes.sum() - wholes
    if total <= NOTHING:
        return nothing(len(wholes), "nothing to recover: the models agree")
    if len(wholes) < 2 or (left <= 0).any():
        return missing("fewer than two passages on which the models differ")
    gained = np.stack([grouped(item, row) for item in gains], axis=1)
    sums = gained.sum(axis=0)
    pseudo = pseudo_values(sums / total, (sums - gained) / left[:, None])
    rest = list(range(1, pseudo.shape[1]))
    return resampled(bootstrap_contrast, pseudo, target=0, others=rest, seed=seed)


def difference_of(base: LeaveOneOut, fitted: LeaveOneOut, name: str) -> Pair:
    """One geometry figure of both models and its paired jackknife difference."""
    for side in (base, fitted):
        if name in side.missing:
            gap = missing(side.missing[name])
            return Pair(gap, gap, gap)
    return Pair(
        resampled(jackknife, base.full[name], base.loo[name]),
        resampled(jackknife, fitted.full[name], fitted.loo[name]),
        resampled(
            paired_jackknife, base.full[name], base.loo[name], fitted.full[name], fitted.loo[name]
        ),
    )
