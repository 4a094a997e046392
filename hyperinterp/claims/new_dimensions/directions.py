"""Directions of one site, estimated on half of the prompts: the new ones and their rivals."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import torch
from jaxtyping import Float64
from torch import Generator, Tensor

from hyperinterp.sites import Site
from probes import (
    Moments,
    NewDirections,
    leading_directions,
    matched_random_directions,
    new_directions,
    removed_variance,
)

NEW, LEADING = "new", "base's own leading"
RANDOM, COUNT = "random, equal variance", "random, equal number"
WHOLE = "whole stream"

KNOWN = 0.95
"""The base's leading directions hold this share of its variance; outside them all is new."""
HALF = 0.5
"""The verdict removes the leading new directions that hold this share of the growth."""


@dataclass(frozen=True, eq=False)
class Directions:
    """A set of orthonormal directions.

    Attributes:
        kind: `NEW`, `LEADING`, `RANDOM`, `COUNT` or `WHOLE`.
        dose: number of new directions that it is, or is matched to.
        draw: number of the random draw.
        basis: columns, `[d k]`.
        removed: share of the fitted model's variance that lies in them.
    """

    kind: str
    dose: int
    draw: int
    basis: Float64[Tensor, "d k"]
    removed: float


@dataclass(frozen=True, eq=False)
class SiteDirections:
    """The directions that were estimated at one site.

    Attributes:
        site: where.
        rows: token positions behind the estimate.
        means: mean of the rows, by role.
        known: number of the base's leading directions.
        available: number of new directions.
        growth: variance gained along all of them, as a share of the fitted model's variance.
        declared: how many of them the verdict removes: the fewest that hold half of the growth.
        sets: every set of directions; none where nothing has grown.
    """

    site: Site
    rows: int
    means: dict[str, Float64[Tensor, " d"]]
    known: int = 0
    available: int = 0
    growth: float = 0.0
    declared: int = 0
    sets: tuple[Directions, ...] = field(default=(), repr=False)

    @property
    def verdict(self) -> tuple[Directions, ...]:
        """The sets at the declared number of directions."""
        return tuple(item for item in self.sets if item.dose == self.declared)


def doses(available: int, declared: int) -> tuple[int, ...]:
    """Return the numbers of new directions removed: 1, 2, 4, ..., all, and the declared one.

    >>> doses(12, 3)
    (1, 2, 3, 4, 8, 12)
    """
    powers = {1 << power for power in range(available.bit_length())}
    return tuple(sorted({*powers, declared, available}))


def rivalled(dose: int, available: int, declared: int) -> bool:
    """Return whether other directions are matched to a dose: every second one, and both ends."""
    return dose in (declared, available) or (dose.bit_length() % 2 == 1 and dose.bit_count() == 1)


def estimated(
    site: Site, moments: Mapping[str, Moments], *, draws: int, seed: int, ladder: bool
) -> SiteDirections:
    """Return the directions of one site.

    Args:
        site: where.
        moments: of both models over the same tokens, by role.
        draws: random draws at the declared number; one at every other.
        seed: of the draws.
        ladder: take every dose, not the declared one alone, and random directions of equal number.
    """
    base, fitted = (moments[role].covariance().cpu() for role in ("base", "fitted"))
    means = {role: moments[role].mean.cpu() for role in ("base", "fitted")}
    rows = moments["base"].n
    if not (float(base.trace()) > 0 and float(fitted.trace()) > 0):
        return SiteDirections(site, rows, means)
    found = new_directions(base, fitted, fraction=KNOWN)
    known, available = found.known.shape[1], len(found.growth)
    if not available:
        return SiteDirections(site, rows, means, known)
    declared = _declared(found, fitted)
    chosen = doses(available, declared) if ladder else (declared,)
    sets: list[Directions] = []
    for dose in chosen:
        sets.append(_made(NEW, dose, 0, found.first(dose), fitted))
        if rivalled(dose, available, declared):
            many = draws if dose == declared else 1
            equal = ladder and dose == declared
            sets += _rivals(site, base, fitted, found, dose, seed, many, count=equal)
    growth = float(found.growth.sum() / fitted.trace())
    return SiteDirections(site, rows, means, known, available, growth, declared, tuple(sets))


def _declared(found: NewDirections, fitted: Tensor) -> int:
    """The fewest leading new directions whose removed variance is half of the growth."""
    held = torch.einsum("dk,de,ek->k", found.basis, fitted, found.basis).cumsum(0)
    return 1 + int((held < HALF * found.growth.sum()).sum())


def _made(kind: str, dose: int, draw: int, columns: Tensor, fitted: Tensor) -> Directions:
    share = float(removed_variance(fitted, columns) / fitted.trace())
    return Directions(kind, dose, draw, columns.clone(), share)


def _rivals(
    site: Site,
    base: Tensor,
    fitted: Tensor,
    found: NewDirections,
    dose: int,
    seed: int,
    draws: int,
    *,
    count: bool,
) -> Iterator[Directions]:
    """The base's own and random directions of a dose's variance, and with `count` of its number."""
    variance = float(removed_variance(fitted, found.first(dose)))
    yield _made(LEADING, dose, 0, leading_directions(base, fitted, variance), fitted)
    for draw in range(draws):
        number = (seed * 1009 + draw) * 1_000_003 + (site.layer or 0)
        for kind in (RANDOM, COUNT)[: 1 + count]:
            columns = matched_random_directions(
                fitted,
                Generator().manual_seed(number),
                variance=variance if kind == RANDOM else None,
                count=dose if kind == COUNT else None,
                outside=found.known,
            )
            yield _made(kind, dose, draw, columns, fitted)


def whole(site: SiteDirections) -> Directions:
    """Return all directions of the stream as one set."""
    width = len(site.means["fitted"])
    return Directions(WHOLE, width, 0, torch.eye(width, dtype=torch.float64), 1.0)
