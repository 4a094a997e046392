"""Directions in which one covariance has grown and which another does not already use."""

from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor

from probes._foreign import Array, real, widen
from probes.geometry.spectrum import spectral_pca_dimension

_ROUNDING = 1e-12
"""A growth below this share of the fitted trace is rounding."""


@dataclass(frozen=True, eq=False)
class NewDirections:
    """Directions that the fitted covariance has and the base's leading directions have not.

    Attributes:
        basis: Orthonormal columns, the largest growth first, [d m].
        growth: Variance gained along each of them, above 0, in the squared unit of the
            activations, [m].
        known: The base's leading directions, orthonormal columns, [d k].
    """

    basis: Float64[Tensor, "d m"]
    growth: Float64[Tensor, " m"]
    known: Float64[Tensor, "d k"]

    def first(self, count: int) -> Float64[Tensor, "d count"]:
        """Return the `count` directions of largest growth, [d count].

        Raises:
            ValueError: for a count outside [1, m].
        """
        if not 1 <= count <= len(self.growth):
            raise ValueError(f"count: expected 1 to {len(self.growth)}, found {count}")
        return self.basis[:, :count]


def covariance_of(x: Array, name: str) -> Float64[Tensor, "d d"]:
    """A public function's covariance in float64: square, symmetric, exactly so afterwards."""
    c = widen(real(x, name, ndim=2, axes="[d d]"), name)
    if c.shape[0] != c.shape[1]:
        raise ValueError(f"{name}: expected [d d], found {list(c.shape)}")
    if not torch.allclose(c, c.mT, rtol=1e-4, atol=1e-4 * float(c.abs().max())):
        raise ValueError(f"{name}: expected a symmetric matrix")
    return (c + c.mT) / 2


def descending(matrix: Float64[Tensor, "d d"]) -> tuple[Tensor, Tensor]:
    """Eigenvalues and unit eigenvectors (in columns), the largest first."""
    found, vectors = torch.linalg.eigh(matrix)
    return found.flip(0), vectors.flip(1)


def new_directions(base: Array, fitted: Array, *, fraction: float = 0.95) -> NewDirections:
    """Return the directions of largest growth outside the base's leading directions.

    With U the leading eigenvectors of the base's covariance that hold `fraction` of its variance,
    these are the eigenvectors with positive eigenvalue of
    (I - U U^T) (C_fitted - C_base) (I - U U^T), in descending order.

    Args:
        base: Covariance of the base's activations, [d d].
        fitted: Covariance of the fitted model's over the same tokens, [d d].
        fraction: Share of the base's variance that its leading directions hold, in (0, 1).

    Returns:
        `NewDirections`; with m = 0 where nothing has grown outside.

    Raises:
        ValueError: for matrices that are not symmetric or of one shape, a base without variance,
            a fraction outside (0, 1), NaN or infinity.

    >>> base = torch.diag(torch.tensor([9.0, 1.0, 0.1, 0.0]))
    >>> grown = torch.diag(torch.tensor([9.0, 1.0, 0.1, 2.0]))
    >>> found = new_directions(base, grown)
    >>> found.growth.tolist(), found.basis.abs().squeeze(1).tolist()
    ([2.0], [0.0, 0.0, 0.0, 1.0])
    """
    if not 0 < fraction < 1:
        raise ValueError(f"fraction: expected a number in (0, 1), found {fraction}")
    first, second = covariance_of(base, "base"), covariance_of(fitted, "fitted")
    if first.shape != second.shape:
        found = list(second.shape)
        raise ValueError(f"fitted: expected {list(first.shape)} as base, found {found}")
    eigenvalues, vectors = descending(first)
    if float(eigenvalues[0]) <= 0:
        raise ValueError("base: expected a covariance with some variance, found none")
    count = int(spectral_pca_dimension(eigenvalues.clamp_min(0), fraction).ceil())
    known, outside = vectors[:, :count], vectors[:, count:]
    # In the coordinates of the complement, so that no direction of `known` enters by rounding.
    growth, inner = descending(outside.mT @ (second - first).to(first.device) @ outside)
    kept = growth > _ROUNDING * float(second.trace())
    return NewDirections(outside @ inner[:, kept], growth[kept], known)
