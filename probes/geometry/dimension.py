"""The number of dimensions of a cloud of activations: three ways to count."""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
# (torch's own annotations leave these open.)

import torch
from jaxtyping import Float64
from torch import Tensor

from probes._foreign import Array, real, widen

from .moments import Moments
from .spectrum import Spectrum, eigenvalues_of

Measurable = Array | Moments | Spectrum
"""Eigenvalues [d], activations [... d] with at least two axes, `Moments`, or a `Spectrum`."""


def participation_ratio(x: Measurable, *, center: bool = True) -> float:
    """Participation ratio (sum l)^2 / sum l^2 of the eigenvalues l of a covariance.

    A soft count of the directions that carry variance: k equal eigenvalues and no others give k.
    Naive: it is biased down by few samples; see `corrected_participation_ratio`.

    Args:
        x: eigenvalues [d], activations [... d] (leading axes are flattened), `Moments` or
            `Spectrum`.
        center: take the covariance about the mean (True), or the second moment about zero.
            Ignored for eigenvalues and a `Spectrum`.

    Returns:
        A number in [1, d], unit-free; unchanged by rotation, translation and scale.

    Raises:
        ValueError: on a wrong shape, an empty input, NaN or infinity, negative eigenvalues, or
            zero variance (where the quantity is undefined).

    Source: Gao et al. 2017, bioRxiv 214262; used for this purpose in arXiv:2605.22579.

    >>> import torch
    >>> participation_ratio(torch.tensor([2.0, 2.0, 2.0, 0.0]))
    3.0
    """
    if isinstance(x, Spectrum):
        return x.participation_ratio
    if not isinstance(x, Moments) and getattr(x, "ndim", 0) == 1:
        return Spectrum(eigenvalues_of(x, "x")).participation_ratio
    # Trace and Frobenius norm are enough, so no eigenvalues are computed here.
    matrix = _gram(x, center)
    matrix = matrix / _largest_variance(matrix)
    return float(matrix.trace().square() / matrix.square().sum())


def effective_rank(x: Measurable, *, center: bool = True) -> float:
    """Effective rank exp(H(l / sum l)), H the entropy in nats of the eigenvalue shares.

    Args:
        x: as in `participation_ratio`.
        center: as in `participation_ratio`.

    Returns:
        A number in [1, d], unit-free, never below the participation ratio.

    Raises:
        ValueError: as in `participation_ratio`.

    Source: Roy and Vetterli 2007, "The effective rank", EUSIPCO.

    >>> import torch
    >>> round(effective_rank(torch.tensor([1.0, 1.0, 0.0])), 6)
    2.0
    """
    return _spectrum(x, center).effective_rank


def pca_dimension(
    x: Measurable, fraction: float = 0.9, interpolate: bool = False, *, center: bool = True
) -> int | float:
    """PCA dimension: the least k whose leading eigenvalues sum to `fraction` of the total.

    Args:
        x: as in `participation_ratio`.
        fraction: share of the variance to hold, in (0, 1].
        interpolate: join the running sum by straight lines and return the real-valued crossing,
            in (0, d]; its ceiling is the whole number. Smooth, so fit for intervals.
        center: as in `participation_ratio`.

    Returns:
        An int in [1, d], or a float in (0, d] with `interpolate`.

    Raises:
        ValueError: as in `participation_ratio`, and for a fraction outside (0, 1].

    Source: cumulative percentage of total variation, Jolliffe 2002, Principal Component
    Analysis, section 6.1.1.

    >>> import torch
    >>> pca_dimension(torch.tensor([6.0, 3.0, 1.0]), 0.9)
    2
    >>> round(pca_dimension(torch.tensor([6.0, 3.0, 1.0]), 0.75, interpolate=True), 6)
    1.5
    """
    return _spectrum(x, center).pca_dimension(fraction, interpolate)


def _spectrum(x: Measurable, center: bool) -> Spectrum:
    if isinstance(x, Spectrum):
        return x
    if not isinstance(x, Moments) and getattr(x, "ndim", 0) == 1:
        return Spectrum(eigenvalues_of(x, "x"))
    matrix = _gram(x, center)
    matrix = matrix / _largest_variance(matrix)
    return Spectrum(torch.linalg.eigvalsh(matrix).flip(0).clamp_min(0))


def _largest_variance(matrix: Tensor) -> Tensor:
    largest = matrix.diagonal().max()
    if float(largest) <= 0:
        raise ValueError(
            "x: expected activations with some variance, found zero variance: "
            "their dimension is undefined"
        )
    return largest


def _gram(x: Array | Moments, center: bool) -> Float64[Tensor, "k k"]:
    """A matrix with the covariance's non-zero eigenvalues up to a factor: the smaller Gram."""
    if isinstance(x, Moments):
        return x.covariance() if center else x.second_moment()
    rows = centred_rows(x, "x") if center else scaled_rows(x, "x")
    return rows @ rows.T if rows.shape[0] < rows.shape[1] else rows.T @ rows


def scaled_rows(x: Array, name: str) -> Float64[Tensor, "n d"]:
    """Activations [... d] as rows in float64 over their largest magnitude."""
    tensor = real(x, name, axes="[... d] with at least 2 axes")
    if tensor.ndim < 2:
        raise ValueError(f"{name}: expected [... d] with at least 2 axes, found {[*tensor.shape]}")
    rows = widen(tensor, name).reshape(-1, tensor.shape[-1])
    largest = rows.abs().max()
    return rows / largest if float(largest) > 0 else rows


def centred_rows(x: Array, name: str) -> Float64[Tensor, "n d"]:
    """Activations [... d] as rows in float64 about their mean, up to one common factor."""
    rows = scaled_rows(x, name)
    rows = rows - rows[0]  # constant rows become exact zeros, with no rounding left to measure
    rows = rows - rows.mean(0)
    largest = rows.abs().max()
    return rows / largest if float(largest) > 0 else rows
