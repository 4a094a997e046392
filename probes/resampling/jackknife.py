"""Jackknife intervals: leave one unit out at a time."""

import math
from dataclasses import replace

import numpy as np
from jaxtyping import Float64

from .estimate import (
    Estimate,
    Values,
    check_level,
    finite,
    paired_values,
    student_quantile,
    unit_values,
)


def pseudo_values(full: float | Values, loo: Values) -> Float64[np.ndarray, " g *rest"]:
    """Pseudo-values G * full - (G - 1) * loo: what each unit contributes to a statistic.

    Their mean is the bias-corrected statistic, and they behave like one value per unit, so that
    they can be resampled where the statistic itself is costly.

    Args:
        full: the statistic on all G units: a number, or [...] to go with loo [G ...].
        loo: the statistic with each unit left out, [G] or [G ...].

    Returns:
        [G ...] in the unit of the statistic.

    Raises:
        ValueError: with fewer than 2 units, shapes that do not agree, NaN or infinity.

    Source: Tukey 1958; Efron and Tibshirani 1993, chapter 11.

    >>> pseudo_values(2.0, [2.5, 2.0, 1.5]).tolist()  # the mean of 1, 2 and 3
    [1.0, 2.0, 3.0]
    """
    left = unit_values(loo, "loo")
    whole = unit_values(np.asarray(full, dtype=np.float64).reshape(-1), "full", least=1)
    expected = math.prod(left.shape[1:])
    if whole.size != expected:
        raise ValueError(f"full: expected {expected} values to go with loo, found {whole.size}")
    units = left.shape[0]
    return units * whole.reshape(left.shape[1:]) - (units - 1) * left


def jackknife(
    full: float, loo: Values, level: float = 0.95, unit: str = "prompt", *, correct: bool = False
) -> Estimate:
    """Interval of a statistic from its values with each unit left out.

    full +- t * se with se^2 = (G - 1) / G * sum (loo - mean loo)^2 and Student's t on G - 1
    degrees of freedom.

    Args:
        full: the statistic on all units.
        loo: the statistic with each unit left out, [G].
        level: nominal coverage.
        unit: what one unit is.
        correct: centre on the mean of the pseudo-values, which removes a bias of order 1/G.

    Raises:
        ValueError: with fewer than 2 units, NaN or infinity, a level outside (0, 1).

    Source: Efron and Tibshirani 1993, chapter 11.

    >>> round(jackknife(2.0, [2.5, 2.0, 1.5]).se, 6)  # that of a mean: 1 / sqrt(3)
    0.57735
    """
    check_level(level)
    value = finite(full, "full")
    left = unit_values(loo, "loo")
    if left.ndim != 1:
        raise ValueError(f"loo: expected [G], found {left.shape}")
    units = len(left)
    se = math.sqrt((units - 1) / units * float(np.square(left - left.mean()).sum()))
    if correct:
        value = units * value - (units - 1) * float(left.mean())
    half = student_quantile((1 + level) / 2, units - 1) * se
    method = "jackknife, bias-corrected" if correct else "jackknife"
    return Estimate(value, value - half, value + half, se, units, method, unit, level)


def paired_jackknife(
    full_a: float,
    loo_a: Values,
    full_b: float,
    loo_b: Values,
    level: float = 0.95,
    unit: str = "prompt",
    *,
    correct: bool = False,
) -> Estimate:
    """Jackknife of the difference b - a, the same unit left out of both.

    Args:
        full_a: the statistic of a on all units.
        loo_a: the statistic of a with each unit left out, [G].
        full_b: the statistic of b on the same units.
        loo_b: the statistic of b with each unit left out, in the same order.
        level: nominal coverage.
        unit: what one unit is.
        correct: as in `jackknife`.

    Raises:
        ValueError: as in `jackknife`, and if the two do not have the same number of units.

    >>> paired_jackknife(1.0, [1.0, 1.5], 3.0, [3.0, 3.5]).hi
    2.0
    """
    left_a, left_b = paired_values(loo_a, loo_b, "loo_a", "loo_b")
    full = finite(full_b, "full_b") - finite(full_a, "full_a")
    single = jackknife(full, left_b - left_a, level, unit, correct=correct)
    return replace(single, method=f"paired {single.method}")
