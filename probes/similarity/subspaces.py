"""Angles between subspaces, and the variance that leaves one."""

import torch
from jaxtyping import Float
from torch import Tensor

from probes._foreign import Array, real, widen


def frame(basis: Array, name: str) -> Float[Tensor, "d k"]:
    """Orthonormal columns of the same span, refused where the columns are dependent."""
    x = widen(real(basis, name, ndim=2, axes="[d k]"), name)
    if x.shape[1] > x.shape[0]:
        raise ValueError(f"{name}: expected no more columns than rows, found {list(x.shape)}")
    size = torch.linalg.vector_norm(x, dim=0)
    if bool((size == 0).any()):
        raise ValueError(f"{name}: expected independent columns, found a zero column")
    x = x / size
    if float((x.mT @ x - torch.eye(x.shape[1]).to(x)).abs().max()) < 1e-13:
        return x
    q, r = torch.linalg.qr(x)
    least = float(torch.linalg.svdvals(r)[-1])
    if least < 1e-12 * len(x):
        raise ValueError(f"{name}: expected independent columns, least singular value {least:.1e}")
    return q


def _frames(basis_a: Array, basis_b: Array) -> tuple[Tensor, Tensor]:
    a, b = frame(basis_a, "basis_a"), frame(basis_b, "basis_b")
    if len(a) != len(b):
        raise ValueError(f"basis_b: expected {len(a)} rows as basis_a, found {len(b)}")
    b = b.to(a.device)
    return (a, b) if a.shape[1] >= b.shape[1] else (b, a)


def principal_angles(basis_a: Array, basis_b: Array) -> Float[Tensor, " k"]:
    """Principal angles between the spans of two bases, ascending, in [0, pi/2] radians.

    The cosines are the singular values of Qa^T Qb, the sines those of Qb - Qa Qa^T Qb; both are
    used, so that small angles keep full accuracy (Bjorck and Golub 1973; Knyazev and Argentati
    2002).

    Args:
        basis_a: Independent columns, [d ka]; they need not be orthonormal.
        basis_b: Independent columns, [d kb].

    Returns:
        Float64 of shape [min(ka, kb)].

    Raises:
        ValueError: for bases of different d, dependent columns, an empty input, NaN or infinity.

    >>> principal_angles(torch.tensor([[1.0], [0.0]]), torch.tensor([[1.0], [1.0]]))
    tensor([0.7854], dtype=torch.float64)
    """
    wide, narrow = _frames(basis_a, basis_b)
    inner = wide.mT @ narrow
    cosines = torch.linalg.svdvals(inner)
    sines = torch.linalg.svdvals(narrow - wide @ inner).flip(0)
    return torch.atan2(sines, cosines)


def subspace_overlap(basis_a: Array, basis_b: Array) -> Float[Tensor, ""]:
    """Mean squared cosine of the principal angles, in [0, 1]: 1 where one span holds the other.

    |Qa^T Qb|_F^2 / min(ka, kb). Two random subspaces of R^d give max(ka, kb) / d on average.

    Args:
        basis_a: Independent columns, [d ka].
        basis_b: Independent columns, [d kb].

    Raises:
        ValueError: as `principal_angles`.

    >>> float(subspace_overlap(torch.eye(4)[:, :2], torch.eye(4)[:, 1:3]))
    0.5
    """
    wide, narrow = _frames(basis_a, basis_b)
    shared = torch.linalg.vector_norm(wide.mT @ narrow).square()
    return (shared / narrow.shape[1]).clamp(0.0, 1.0)


def variance_outside(covariance: Array, basis: Array) -> Float[Tensor, ""]:
    """Share of the total variance that lies outside the span of a basis, in [0, 1].

    1 - tr(Q^T C Q) / tr(C), Q an orthonormal basis of the span.

    Args:
        covariance: Symmetric positive semi-definite, [d d].
        basis: Independent columns, [d k].

    Returns:
        A float64 scalar.

    Raises:
        ValueError: for shapes that do not fit, an asymmetric matrix or one of no variance,
            dependent columns, an empty input, NaN or infinity.

    >>> float(variance_outside(torch.diag(torch.tensor([3.0, 1.0])), torch.tensor([[1.0], [0.0]])))
    0.25
    """
    c = widen(real(covariance, "covariance", ndim=2, axes="[d d]"), "covariance")
    q = frame(basis, "basis").to(c.device)
    if c.shape != (len(q), len(q)):
        raise ValueError(f"covariance: expected [{len(q)} {len(q)}], found {list(c.shape)}")
    if not torch.allclose(c, c.mT, rtol=1e-4, atol=1e-4 * float(c.abs().max())):
        raise ValueError("covariance: expected a symmetric matrix")
    total = c.trace()
    if float(total) <= 0:
        raise ValueError(f"covariance: expected a positive trace, found {float(total)}")
    return (1 - torch.einsum("dk,de,ek->", q, c, q) / total).clamp(0.0, 1.0)
