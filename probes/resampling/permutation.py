"""Tests of "no difference" by flipping signs, and a correction for many tests."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args, overload

import numpy as np
from jaxtyping import Float64

from .estimate import Values, paired_values, rounded_repr

Alternative = Literal["two-sided", "greater", "less"]


@dataclass(frozen=True)
class PermutationTest:
    """A paired sign-flip test of a zero mean difference.

    Attributes:
        statistic: the mean difference b - a.
        p_value: in (0, 1].
        n_permutations: sign patterns looked at, the observed one included.
        exact: whether that was all of them.
        alternative: "two-sided", "greater" (b above a) or "less".
        n: number of pairs.
        unit: what one pair is.
    """

    statistic: float
    p_value: float
    n_permutations: int
    exact: bool
    alternative: str
    n: int
    unit: str = "prompt"

    def __repr__(self) -> str:
        return rounded_repr(self)


def permutation_test(
    a: Values,
    b: Values,
    n: int = 9999,
    seed: int = 0,
    alternative: Alternative = "two-sided",
    unit: str = "prompt",
) -> PermutationTest:
    """Paired test that swapping a and b within a unit changes nothing, on the mean difference.

    All 2^G sign patterns are used where they are at most n + 1; else n random ones, and the p
    value is (1 + hits) / (1 + n). Differences that are all 0 give p = 1.

    Args:
        a: one value per unit, [G].
        b: the same units, in the same order.
        n: number of random sign patterns.
        seed: of numpy's PCG64.
        alternative: "two-sided", "greater" (b above a) or "less".
        unit: what one unit is.

    Raises:
        ValueError: with fewer than 2 units, shapes that differ, NaN or infinity.

    Source: Fisher 1935; the added one: Phipson and Smyth 2010.

    >>> permutation_test([0.0, 0.0, 0.0], [1.0, 2.0, 3.0], alternative="greater").p_value
    0.125
    """
    x, y = paired_values(a, b, "a", "b")
    if x.ndim != 1:
        raise ValueError(f"a: expected [G], found {x.shape}")
    if n < 1:
        raise ValueError(f"n: expected 1 or more, found {n}")
    if alternative not in get_args(Alternative):
        raise ValueError(f"alternative: expected {get_args(Alternative)}, found {alternative!r}")
    difference = y - x
    units = len(difference)
    exact = 2**units <= n + 1
    patterns = _all_sums(difference) if exact else _random_sums(difference, n, seed)
    observed = float(difference.sum())
    slack = 1e-12 * float(np.abs(difference).sum())  # ties up to rounding count as hits
    if alternative == "two-sided":
        hits = int((np.abs(patterns) >= abs(observed) - slack).sum())
    else:
        sign = 1 if alternative == "greater" else -1
        hits = int((sign * patterns >= sign * observed - slack).sum())
    total = len(patterns) if exact else len(patterns) + 1
    return PermutationTest(
        statistic=observed / units,
        p_value=(hits if exact else hits + 1) / total,
        n_permutations=total,
        exact=exact,
        alternative=alternative,
        n=units,
        unit=unit,
    )


def _all_sums(difference: Float64[np.ndarray, " g"]) -> Float64[np.ndarray, " p"]:
    sums = np.zeros(1)
    for value in difference:
        sums = np.concatenate([sums + value, sums - value])
    return sums


def _random_sums(
    difference: Float64[np.ndarray, " g"], n: int, seed: int
) -> Float64[np.ndarray, " p"]:
    rng = np.random.default_rng(seed)
    step = max(1, (1 << 22) // len(difference))
    sizes = [min(step, n - start) for start in range(0, n, step)]
    signs = (2.0 * rng.integers(0, 2, (size, len(difference))) - 1 for size in sizes)
    return np.concatenate([s @ difference for s in signs])


@overload
def holm(p_values: Mapping[str, float]) -> dict[str, float]: ...
@overload
def holm(p_values: Sequence[float]) -> list[float]: ...


def holm(p_values: Mapping[str, float] | Sequence[float]) -> dict[str, float] | list[float]:
    """Holm's step-down adjustment: rejecting below alpha keeps the family's error below alpha.

    Args:
        p_values: p values in [0, 1], by name or in a sequence.

    Returns:
        Adjusted p values in [0, 1], in the same form and order; an empty input gives an empty one.

    Raises:
        ValueError: if a p value is outside [0, 1] or NaN.

    Source: Holm 1979.

    >>> holm([0.25, 0.125, 1.0])
    [0.5, 0.375, 1.0]
    """
    if isinstance(p_values, Mapping):
        return dict(zip(p_values, holm(list(p_values.values())), strict=True))
    wrong = [p for p in p_values if not 0 <= p <= 1]
    if wrong:
        raise ValueError(f"p_values: expected numbers in [0, 1], found {wrong[0]}")
    count = len(p_values)
    adjusted = [0.0] * count
    highest = 0.0
    for rank, index in enumerate(sorted(range(count), key=lambda i: p_values[i])):
        highest = max(highest, min(1.0, (count - rank) * float(p_values[index])))
        adjusted[index] = highest
    return adjusted
