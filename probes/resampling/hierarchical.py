"""Intervals over training seeds and prompts: seeds drawn first, prompts within."""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64

from .estimate import Estimate, Values, check_level, student_quantile, unit_values

_SMALL = 1e-12
"""A variance up to this share of the values' own size squared is rounding."""


def hierarchical_bootstrap(
    values: Values, n_resamples: int = 2000, seed: int = 0, level: float = 0.95
) -> Estimate:
    """Return the interval of a mean over training seeds and prompts, for seeds yet untrained.

    Every resample draws seeds with replacement, then prompts with replacement; the prompts are the
    same for all seeds, so all seeds of a resample get the same ones. Percentiles of such resamples
    are of no use with few seeds: three seeds all lie on one side of the truth in a quarter of all
    studies, and no resample leaves their range. So the resamples give the variance that each level
    adds, corrected for its number of units, and the interval is Student's t, its degrees of freedom
    pooled after Satterthwaite. The part that belongs to single seeds on single prompts is in both
    levels and is counted once.

    Args:
        values: one value per seed and prompt, [S P], prompts in the same order for every seed.
        n_resamples: number of resamples.
        seed: of numpy's PCG64; the same seed gives the same interval.
        level: nominal coverage.

    Returns:
        The mean, its interval, and n = S. With fewer than three seeds the interval is honest and
        so wide that it seldom decides anything.

    Raises:
        ValueError: fewer than 2 seeds or prompts, NaN or infinity, or an argument out of range.

    Source: the two-way bootstrap is Owen 2007, arXiv:0712.1111 (pigeonhole bootstrap);
    Satterthwaite 1946 for the degrees of freedom. Their combination is ours.

    >>> hierarchical_bootstrap([[1.0, 2.0], [1.0, 2.0], [1.0, 2.0]]).value
    1.5
    """
    x = unit_values(values, "values")
    if x.ndim != 2 or x.shape[1] < 2:
        raise ValueError(f"values: expected [seeds prompts] with 2 or more each, found {x.shape}")
    check_level(level)
    if n_resamples < 2:
        raise ValueError(f"n_resamples: expected 2 or more, found {n_resamples}")
    seeds, prompts = x.shape
    over_seeds, over_prompts, both = _spreads(x, n_resamples, seed)
    over_seeds *= seeds / (seeds - 1)
    over_prompts *= prompts / (prompts - 1)
    both *= seeds * prompts / ((seeds - 1) * (prompts - 1))
    total = max(over_seeds + over_prompts - both, over_seeds, over_prompts)
    freedom = _pooled(((over_seeds, seeds - 1), (total - over_seeds, prompts - 1)))
    half = math.sqrt(total) * -student_quantile((1 - level) / 2, freedom)
    centre = float(x.mean())
    return Estimate(
        centre, centre - half, centre + half, math.sqrt(total), seeds,
        "hierarchical bootstrap, Student's t", "seed", level,
    )  # fmt: skip


def over_seeds(estimates: Sequence[Estimate]) -> Estimate:
    """Return the interval of a mean over seeds from each seed's own estimate and interval.

    For statistics that are no mean over prompts, such as a dimension. The prompts are the same for
    all seeds, and how much of a seed's interval is their common part is not known: all of it is
    taken to be, which widens the interval and never narrows it.

    Args:
        estimates: one per seed, of the same prompts and level.

    Returns:
        The mean, its interval (its two sides may differ), and n = the number of seeds.

    Raises:
        ValueError: fewer than 2 seeds, an infinite number, or levels that differ.

    >>> one = Estimate(1.0, 1.0, 1.0, 0.0, 24, "exact")
    >>> over_seeds([one, one, one]).hi
    1.0
    """
    centres = unit_values([item.value for item in estimates], "estimates")
    ends = unit_values([[item.lo, item.hi] for item in estimates], "estimates")
    levels = {item.level for item in estimates}
    if len(levels) != 1:
        raise ValueError(f"estimates: expected one level, found {sorted(levels)}")
    (level,) = levels
    tail = (1 - level) / 2
    seeds, centre = len(centres), float(centres.mean())
    between = float(np.square(centres - centres[0]).mean() - (centres - centres[0]).mean() ** 2)
    between = _positive(between, centre) / (seeds - 1)
    sides: list[float] = []
    for reach in (centres - ends[:, 0], ends[:, 1] - centres):
        within = _within(np.maximum(reach, 0.0), estimates, tail)
        freedom = _pooled(
            ((between, seeds - 1), (within, max(min(item.n for item in estimates) - 1, 1)))
        )
        sides.append(math.sqrt(between + within) * -student_quantile(tail, freedom))
    width = sum(sides) / 2 / -student_quantile(tail, max(seeds - 1, 1))
    return Estimate(
        centre, centre - sides[0], centre + sides[1], width, seeds,
        "seeds' own intervals and their spread, Student's t", "seed", level,
    )  # fmt: skip


def _within(reach: Float64[np.ndarray, " s"], estimates: Sequence[Estimate], tail: float) -> float:
    """Mean variance inside the seeds, from how far each interval reaches to one side."""
    quantiles = np.array([-student_quantile(tail, max(item.n - 1, 1)) for item in estimates])
    return float(np.square(reach / quantiles).mean())


def _spreads(
    x: Float64[np.ndarray, "s p"], n_resamples: int, seed: int
) -> tuple[float, float, float]:
    """Variances over resamples: of seeds, of prompts, and of what only both together move."""
    rng = np.random.default_rng(seed)
    seeds, prompts = x.shape
    apart = x - x[0, 0]
    apart = apart - apart.mean()
    rows, columns = apart.mean(axis=1), apart.mean(axis=0)
    rest = apart - rows[:, None] - columns[None]
    of_seeds = rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=n_resamples) / seeds
    of_prompts = rng.multinomial(prompts, np.full(prompts, 1 / prompts), size=n_resamples) / prompts
    size = float(np.abs(x).max())
    drawn = (of_seeds @ rows, of_prompts @ columns, ((of_seeds @ rest) * of_prompts).sum(axis=1))
    first, second, third = (_positive(float(part.var(ddof=1)), size) for part in drawn)
    return first, second, third


def _positive(variance: float, size: float) -> float:
    return variance if variance > _SMALL**2 * size**2 else 0.0


def _pooled(parts: Sequence[tuple[float, int]]) -> float:
    """Degrees of freedom of a sum of variances; at least 1."""
    total = sum(part for part, _ in parts)
    if total <= 0:
        return max(1.0, *(float(freedom) for _, freedom in parts))
    return max(1.0, total**2 / sum(part**2 / freedom for part, freedom in parts))
