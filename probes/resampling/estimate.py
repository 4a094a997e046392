"""A figure with its interval, and the quantiles and checks that every method here shares."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from statistics import NormalDist
from typing import Any

import numpy as np
from jaxtyping import Float64
from scipy.special import stdtr, stdtrit
from torch import Tensor

from probes._foreign import Array

Values = Array | Sequence[float] | Sequence[Sequence[float]]
"""One number per unit, as a tensor, an array or a plain sequence; integers are welcome."""

NORMAL = NormalDist()


@dataclass(frozen=True)
class Estimate:
    """A figure, its interval, and what both rest on.

    Attributes:
        value: the figure on all units, in its own unit of measure.
        lo: lower end of the interval.
        hi: upper end of the interval.
        se: standard error.
        n: number of independent units behind it.
        method: how the interval was made.
        unit: what one unit is, such as "prompt".
        level: nominal coverage of the interval.
    """

    value: float
    lo: float
    hi: float
    se: float
    n: int
    method: str
    unit: str = "prompt"
    level: float = 0.95

    def __repr__(self) -> str:
        return rounded_repr(self)

    def excludes(self, value: float = 0.0) -> bool:
        """Return whether `value` lies outside the interval."""
        return not self.lo <= value <= self.hi


def rounded_repr(item: Any) -> str:
    """The `repr` of a dataclass with four significant digits; its fields keep all of them.

    >>> Estimate(1 / 3, 0.25, 0.5, 0.1, 24, "jackknife")
    Estimate(value=0.3333, lo=0.25, hi=0.5, se=0.1, n=24, method='jackknife', unit='prompt', \
level=0.95)
    """
    values = {field.name: getattr(item, field.name) for field in fields(item)}
    shown = (
        f"{name}={value:.4g}" if isinstance(value, float) else f"{name}={value!r}"
        for name, value in values.items()
    )
    return f"{type(item).__name__}({', '.join(shown)})"


def unit_values(x: Values, name: str, *, least: int = 2) -> Float64[np.ndarray, " g *rest"]:
    """`x` [G ...] as float64, with at least `least` units and nothing but finite numbers."""
    if isinstance(x, Tensor):
        x = x.detach().cpu().double().numpy()
    values = np.array(x, dtype=np.float64)
    if values.ndim < 1 or values.size == 0:
        raise ValueError(f"{name}: expected one value per unit [G ...], found {values.shape}")
    if values.shape[0] < least:
        raise ValueError(f"{name}: expected at least {least} units, found {values.shape[0]}")
    if not np.isfinite(values).all():
        raise ValueError(f"{name}: expected finite values, found NaN or infinity")
    return values


def paired_values(
    a: Values, b: Values, name_a: str, name_b: str
) -> tuple[Float64[np.ndarray, " g *rest"], Float64[np.ndarray, " g *rest"]]:
    """Two sets of values of the same units."""
    x, y = unit_values(a, name_a), unit_values(b, name_b)
    if x.shape != y.shape:
        raise ValueError(f"{name_b}: expected the shape of {name_a}, {x.shape}, found {y.shape}")
    return x, y


def finite(x: float, name: str) -> float:
    """`x` as a float that is neither NaN nor infinite."""
    if not math.isfinite(x):
        raise ValueError(f"{name}: expected a finite number, found {x}")
    return float(x)


def check_level(level: float) -> None:
    """Refuse a coverage outside (0, 1)."""
    if not 0 < level < 1:
        raise ValueError(f"level: expected a coverage in (0, 1), found {level}")


def student_cdf(t: float, df: int) -> float:
    """P(T <= t) for Student's t with `df` degrees of freedom, in [0, 1]; exact in both tails."""
    return float(stdtr(df, t))


def student_quantile(p: float, df: float | int) -> float:
    """The t with P(T <= t) = p, for p in (0, 1)."""
    return float(stdtrit(df, p))
