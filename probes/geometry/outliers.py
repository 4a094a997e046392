"""Rows and dimensions that would decide a covariance on their own."""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
# (torch's own annotations leave these open.)

import torch
from jaxtyping import Bool
from torch import Tensor

from probes._foreign import Array, real, widen

from .moments import Moments

OUTLIER_FACTOR = 10.0
"""How many medians make an outlier, unless a caller says otherwise."""


def norm_outliers(norms: Array, factor: float = OUTLIER_FACTOR) -> Bool[Tensor, "*rows n"]:
    """Mark the positions whose norm is an outlier (attention sinks, massive activations).

    Rule: norm > `factor` times the median norm of the same row. Unchanged by scale. The median
    stands while fewer than half of the positions are outliers; in residual streams ordinary
    positions stay within about twice the median, and sinks lie at ten to a thousand times it.

    Args:
        norms: Euclidean norms of positions of one site, shape [n] or [rows n]; every row (a
            prompt) is judged by itself.
        factor: how many medians make an outlier, above 1.

    Returns:
        A boolean mask in the shape of `norms`, on their device.

    Raises:
        ValueError: on an empty input, NaN, infinity, negative norms, or a factor of 1 or less.

    Source: massive activations, arXiv:2402.17762; attention sinks, arXiv:2309.17453.

    >>> import torch
    >>> norm_outliers(torch.tensor([900.0, 10.0, 11.0, 9.0])).tolist()
    [True, False, False, False]
    """
    values = widen(real(norms, "norms", axes="[n]"), "norms")
    if not factor > 1:
        raise ValueError(f"factor: expected a number above 1, found {factor}")
    if float(values.min()) < 0:
        raise ValueError(f"norms: expected norms of 0 or more, found {float(values.min()):.6g}")
    ordered = values.sort(dim=-1).values
    count = ordered.shape[-1]
    median = (ordered[..., (count - 1) // 2] + ordered[..., count // 2]) / 2
    mask = values > factor * median[..., None]
    return mask.to(norms.device if isinstance(norms, Tensor) else "cpu")


def rogue_dimensions(x: Array | Moments, factor: float = 25.0) -> tuple[int, ...]:
    """Mark the coordinates whose variance dominates the others ("rogue dimensions").

    Rule: variance > `factor` times the median variance of the coordinates that vary (a standard
    deviation of 5 medians at the default). Unchanged by scale.

    Args:
        x: variances [d], a covariance [d d] (square and symmetric) or `Moments`.
        factor: how many medians make a coordinate rogue, above 1.

    Returns:
        Indices of coordinates, largest variance first, of equal ones the lowest index first;
        empty if there are none.

    Raises:
        ValueError: on a wrong shape, NaN, infinity, a negative variance or a factor of 1 or less.

    Source: arXiv:2109.04404 (Timkey and van Schijndel).

    >>> import torch
    >>> rogue_dimensions(torch.tensor([1.0, 1.2, 400.0, 0.9]))
    (2,)
    """
    if not factor > 1:
        raise ValueError(f"factor: expected a number above 1, found {factor}")
    variance = x.covariance().diagonal() if isinstance(x, Moments) else _variances(x)
    if float(variance.min()) < 0:
        raise ValueError(f"x: expected variances of 0 or more, found {float(variance.min()):.6g}")
    moving = variance[variance > 0]
    if not len(moving):
        return ()
    order = variance.argsort(descending=True, stable=True)
    cut = factor * moving.quantile(0.5)
    return tuple(int(i) for i in order[variance[order] > cut].tolist())


def _variances(x: Array) -> Tensor:
    values = widen(real(x, "x", axes="[d] or [d d]"), "x")
    if values.ndim == 1:
        return values
    if (
        values.ndim != 2
        or values.shape[0] != values.shape[1]
        or not torch.allclose(values, values.T, rtol=1e-4, atol=0)
    ):
        raise ValueError(
            f"x: expected variances [d] or a symmetric covariance [d d], found {list(x.shape)}"
        )
    return values.diagonal()
