"""The component of activations in a subspace: how large it is, and another one in its place."""

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from probes._foreign import Array, real
from probes.similarity.subspaces import frame
from probes.subspaces.new_directions import covariance_of, descending


def _matching(x: Array, basis: Array, name: str = "x") -> tuple[Tensor, Tensor]:
    rows = real(x, name, axes="[... d]")
    q = frame(basis, "basis")
    if rows.shape[-1] != len(q):
        raise ValueError(f"{name}: expected width {len(q)} as basis, found {rows.shape[-1]}")
    return rows, q.to(rows.device, rows.dtype if rows.dtype != torch.float64 else None)


def replace_component(
    x: Array, basis: Array, mean: Array | None = None
) -> Float[Tensor, "*rows d"]:
    """Return activations whose component in a subspace is its mean (mean ablation).

    x - (x - mean) Q Q^T, Q an orthonormal basis of the span.

    Args:
        x: Activations, [... d].
        basis: Independent columns, [d k].
        mean: What the component becomes, [d]; zero by default.

    Returns:
        Activations of the same shape and dtype.

    Raises:
        ValueError: for widths that differ, dependent columns, NaN or infinity in the basis.

    >>> replace_component(torch.tensor([[3.0, 4.0]]), torch.tensor([[0.0], [1.0]]))
    tensor([[3., 0.]])
    """
    rows, q = _matching(x, basis)
    if mean is None:
        return rows - (rows @ q) @ q.mT
    centre = real(mean, "mean", ndim=1, axes="[d]").to(rows)
    if len(centre) != len(q):
        raise ValueError(f"mean: expected width {len(q)}, found {len(centre)}")
    return rows - ((rows - centre) @ q) @ q.mT


def interchange_component(x: Array, donor: Array, basis: Array) -> Float[Tensor, "*rows d"]:
    """Return activations whose component in a subspace is the donor's (interchange intervention).

    x + (donor - x) Q Q^T. With the whole space as basis this is the donor; with x as donor, x.
    Source: Geiger et al. 2021, arXiv:2106.02997.

    Args:
        x: Activations, [... d].
        donor: Activations of the same shape.
        basis: Independent columns, [d k].

    Returns:
        Activations of the shape and dtype of `x`.

    Raises:
        ValueError: for shapes that differ, dependent columns, NaN or infinity in the basis.

    >>> x, donor = torch.tensor([[1.0, 2.0]]), torch.tensor([[5.0, 6.0]])
    >>> interchange_component(x, donor, torch.tensor([[0.0], [1.0]]))
    tensor([[1., 6.]])
    """
    rows, q = _matching(x, basis)
    other = real(donor, "donor", axes="[... d]").to(rows)
    if other.shape != rows.shape:
        raise ValueError(f"donor: expected {list(rows.shape)} as x, found {list(other.shape)}")
    return rows + ((other - rows) @ q) @ q.mT


def removed_variance(covariance: Array, basis: Array) -> Float64[Tensor, ""]:
    """Return the variance that leaves with the component in a subspace: tr(Q^T C Q).

    Args:
        covariance: Symmetric, [d d], in the squared unit of the activations.
        basis: Independent columns, [d k].

    Raises:
        ValueError: for shapes that do not fit, dependent columns, NaN or infinity.

    >>> float(removed_variance(torch.diag(torch.tensor([3.0, 1.0])), torch.tensor([[0.0], [2.0]])))
    1.0
    """
    c, q = covariance_of(covariance, "covariance"), frame(basis, "basis")
    if len(c) != len(q):
        raise ValueError(f"basis: expected {len(c)} rows as covariance, found {len(q)}")
    return torch.einsum("dk,de,ek->", q.to(c.device), c, q.to(c.device)).clamp_min(0.0)


def _nearest(gained: Float64[Tensor, " k"], variance: float) -> int:
    """Return the number of leading directions whose variance is nearest to the wanted one."""
    running = gained.clamp_min(0).cumsum(0).tolist()
    return 1 + min(range(len(running)), key=lambda k: abs(running[k] - variance))


def leading_directions(base: Array, fitted: Array, variance: float) -> Float64[Tensor, "d k"]:
    """Return the base's leading directions that remove a given variance from the fitted model.

    As many leading eigenvectors of the base's covariance as bring `removed_variance(fitted, ...)`
    nearest to `variance`, at least one.

    Args:
        base: Covariance of the base's activations, [d d].
        fitted: Covariance of the fitted model's, [d d].
        variance: To be removed, above 0.

    Returns:
        Orthonormal columns, [d k].

    Raises:
        ValueError: for matrices that are not symmetric or of one shape, or a variance of 0 or
            less.
    """
    first, second = covariance_of(base, "base"), covariance_of(fitted, "fitted").to(base.device)
    if first.shape != second.shape or not variance > 0:
        raise ValueError(
            f"fitted, variance: expected {list(first.shape)} and a number above 0, "
            f"found {list(second.shape)} and {variance}"
        )
    _, vectors = descending(first)
    gained = torch.einsum("dk,de,ek->k", vectors, second, vectors)
    return vectors[:, : _nearest(gained, variance)]


def matched_random_directions(
    covariance: Array,
    generator: torch.Generator,
    *,
    count: int | None = None,
    variance: float | None = None,
    outside: Array | None = None,
) -> Float64[Tensor, "d k"]:
    """Draw random orthonormal directions of a given number, or of a given removed variance.

    Uniform over the subspaces of the complement of `outside`. With `variance`, as many as bring
    the removed variance nearest to it: large directions are few, small ones many.

    Args:
        covariance: Of the activations that the directions will be removed from, [d d].
        generator: On the CPU; draws do not depend on the device of the covariance.
        count: Number of directions.
        variance: Removed variance wanted, above 0; one of `count` and `variance` is given.
        outside: Directions to stay orthogonal to, [d j].

    Returns:
        Orthonormal columns, [d k].

    Raises:
        ValueError: neither or both of `count` and `variance`, or more directions than there are.
    """
    c = covariance_of(covariance, "covariance")
    if (count is None) == (variance is None):
        raise ValueError("count, variance: expected one of them, found both or neither")
    known = torch.zeros(len(c), 0).to(c) if outside is None else frame(outside, "outside").to(c)
    room = len(c) - known.shape[1]
    if room < 1 or (count is not None and not 1 <= count <= room):
        raise ValueError(f"count: expected 1 to {room} directions, found {count}")
    drawn = torch.randn(len(c), count or room, dtype=torch.float64, generator=generator).to(c)
    for _ in range(2):  # twice is enough (Giraud et al. 2005)
        drawn = drawn - known @ (known.mT @ drawn)
        drawn = torch.linalg.qr(drawn).Q
    if variance is None:
        return drawn
    if not variance > 0:
        raise ValueError(f"variance: expected a number above 0, found {variance}")
    gained = torch.einsum("dk,de,ek->k", drawn, c, drawn)
    return drawn[:, : _nearest(gained, variance)]
