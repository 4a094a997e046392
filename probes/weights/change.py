"""Size, rank and spectrum of the change of one weight matrix."""

from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor

from probes._foreign import Array, real, same_shape, widen

_LONG = 4
"""A matrix this many times longer than wide is decomposed by its short side."""


@dataclass(frozen=True, eq=False)
class WeightChange:
    """Size, rank and spectrum of the change of one matrix.

    Attributes:
        before: Frobenius norm of the old matrix.
        change: Frobenius norm of the difference, new minus old.
        relative: change / before; None where the old matrix is zero.
        stable_rank: Squared Frobenius norm of the difference over its squared spectral norm, in
            [1, rank]; 0 without a change.
        rank: Singular values of the difference that stand above rounding.
        rounding: The largest singular value that rounding the weights alone may make.
        spectrum: Singular values of the difference in descending order, [min(m, n)].
    """

    before: float
    change: float
    relative: float | None
    stable_rank: float
    rank: int
    rounding: float
    spectrum: Float64[Tensor, " k"]


def matrix(x: Array, name: str) -> Float64[Tensor, "m n"]:
    """A public function's weight matrix in float64."""
    return widen(real(x, name, ndim=2, axes="[m n]"), name).double()


def left_vectors(weights: Float64[Tensor, "m n"]) -> tuple[Tensor, Tensor]:
    """Left singular vectors in columns and singular values, the largest first.

    Of a matrix much longer than wide, or wider than long, by the product of its short side: values
    below 1e-8 of the largest are rounding.
    """
    rows, columns = weights.shape
    if max(rows, columns) <= _LONG * min(rows, columns):
        left, values, _ = torch.linalg.svd(weights, full_matrices=False)
        return left, values
    tall = rows > columns
    squares, vectors = torch.linalg.eigh(weights.mT @ weights if tall else weights @ weights.mT)
    values, vectors = squares.clamp_min(0).sqrt().flip(0), vectors.flip(1)
    if tall:
        tiny = torch.finfo(values.dtype).tiny
        vectors = weights @ vectors / values.clamp_min(tiny)
    return vectors, values


def weight_change(before: Array, after: Array, *, precision: float | None = None) -> WeightChange:
    """Return size, rank and spectrum of `after - before`.

    Args:
        before: The old weights, [m n].
        after: The new weights, [m n].
        precision: Relative spacing of the numbers that the weights were stored in, e.g. 2**-8 for
            bfloat16 weights that are now float32; by default that of the coarser dtype of the two.
            A singular value counts into the rank where it is larger than
            precision * rms(new weights) * (sqrt(m) + sqrt(n)), more than rounding reaches.

    Returns:
        A `WeightChange`, in float64 on the CPU.

    Raises:
        ValueError: for shapes that differ, NaN or infinity, or a negative precision.

    Source: stable rank as in Rudelson and Vershynin 2007; the size of a random matrix's largest
    singular value, Davidson and Szarek 2001.

    >>> old = torch.eye(3)
    >>> found = weight_change(old, old + torch.diag(torch.tensor([2.0, 1.0, 0.0])))
    >>> found.rank, round(found.stable_rank, 6), found.spectrum.tolist()
    (2, 1.25, [2.0, 1.0, 0.0])
    """
    old, new = matrix(before, "before"), matrix(after, "after")
    same_shape(old, new, "before", "after")
    if precision is None:
        precision = max(torch.finfo(real(x, "weights").dtype).eps for x in (before, after))
    if not precision >= 0:
        raise ValueError(f"precision: expected 0 or more, found {precision}")
    difference = new - old
    rows, columns = difference.shape
    rounding = precision * float(new.square().mean().sqrt()) * (rows**0.5 + columns**0.5)
    spectrum = left_vectors(difference)[1].cpu()
    size, norm, top = float(difference.norm()), float(old.norm()), float(spectrum[0])
    return WeightChange(
        before=norm,
        change=size,
        relative=size / norm if norm > 0 else None,
        stable_rank=(size / top) ** 2 if top > 0 else 0.0,
        rank=int((spectrum > rounding).sum()),
        rounding=rounding,
        spectrum=spectrum,
    )


def truncated_change(before: Array, after: Array, rank: int) -> Float64[Tensor, "m n"]:
    """Return the change of a matrix cut to its largest singular values: the nearest of that rank.

    Args:
        before: The old weights, [m n].
        after: The new weights, [m n].
        rank: How many singular values are kept, 0 or more; all where there are no more.

    Returns:
        A matrix of this rank at most, [m n], in float64.

    Raises:
        ValueError: for shapes that differ, NaN or infinity, or a negative rank.

    Source: Eckart and Young 1936.

    >>> old = torch.eye(3)
    >>> truncated_change(old, old + torch.diag(torch.tensor([2.0, 1.0, 0.0])), 1).abs().sum().item()
    2.0
    """
    old, new = matrix(before, "before"), matrix(after, "after")
    same_shape(old, new, "before", "after")
    if rank < 0:
        raise ValueError(f"rank: expected 0 or more, found {rank}")
    left, values, right = torch.linalg.svd(new - old, full_matrices=False)
    return (left[:, :rank] * values[:rank]) @ right[:rank]
