"""The stream in the unembedding's eyes: its covariance in the metric of the centred logits.

Softmax sees nothing of a stream h but its centred logits (W - 1 w^T) h, w the mean row of W. Their
covariance is [v v]; its non-zero eigenvalues are those of C^(1/2) G C^(1/2) with
G = W^T W - v w w^T, so no matrix of the vocabulary's size squared is made.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor

from probes._foreign import Array, real, widen
from probes.geometry.spectrum import spectral_participation_ratio
from probes.similarity.subspaces import frame
from probes.slices import row_slices
from probes.subspaces.new_directions import covariance_of, descending


@dataclass(frozen=True, eq=False)
class VisibleSpectrum:
    """Eigenvalues of the covariance of the centred logits.

    Attributes:
        eigenvalues: Descending, clipped at 0, in squared logits, [d].
        participation_ratio: (sum l)^2 / sum l^2, in [1, d].
        total: Variance of the centred logits, summed over the vocabulary.
    """

    eigenvalues: Float64[Tensor, " d"]
    participation_ratio: float
    total: float


def readout_metric(unembedding: Array) -> Float64[Tensor, "d d"]:
    """Return the metric of the readout: the Gram matrix of the centred unembedding.

    G = sum over tokens of (w_t - w)(w_t - w)^T, w the mean row. h^T G h is the squared norm of
    the centred logits of h. A bias of the head does not enter a covariance.

    Args:
        unembedding: One row per token, [v d]. A final norm's gain, where the stream is read
            before it, has to be folded in by the caller.

    Returns:
        Float64, symmetric positive semi-definite, [d d].

    Raises:
        ValueError: for another number of axes, an empty input, NaN or infinity.

    >>> readout_metric(torch.tensor([[1.0, 0.0], [-1.0, 0.0]]))
    tensor([[2., 0.],
            [0., 0.]], dtype=torch.float64)
    """
    w = real(unembedding, "unembedding", ndim=2, axes="[v d]")
    rows, d = w.shape
    slices = list(row_slices(rows, d, device=w.device))
    mean = torch.stack([widen(w[part], "unembedding").sum(0) for part in slices]).sum(0) / rows
    gram = torch.zeros(d, d, dtype=torch.float64, device=mean.device)
    for part in slices:
        centred = widen(w[part], "unembedding") - mean
        gram += centred.mT @ centred
    return gram


def visible_spectrum(covariance: Array, metric: Array) -> VisibleSpectrum:
    """Return the spectrum of the centred logits' covariance.

    Args:
        covariance: Of the stream that the unembedding is applied to, [d d].
        metric: As `readout_metric` gives it, [d d].

    Raises:
        ValueError: for matrices that are not symmetric or of one shape, or a stream of which the
            readout sees no variance.

    >>> seen = visible_spectrum(torch.eye(2), torch.diag(torch.tensor([1.0, 0.0])))
    >>> seen.participation_ratio, seen.total
    (1.0, 1.0)
    """
    c, g = covariance_of(covariance, "covariance"), covariance_of(metric, "metric")
    if c.shape != g.shape:
        raise ValueError(f"metric: expected {list(c.shape)} as covariance, found {list(g.shape)}")
    eigenvalues, vectors = descending(c)
    root = vectors * eigenvalues.clamp_min(0).sqrt()
    seen = torch.linalg.eigvalsh(root.mT @ g.to(c.device) @ root).flip(0).clamp_min(0)
    if float(seen[0]) <= 0:
        raise ValueError("covariance: expected variance that the readout sees, found none")
    ratio = float(spectral_participation_ratio(seen / seen[0]))
    return VisibleSpectrum(seen, ratio, float(seen.sum()))


def visible_share(covariance: Array, metric: Array, basis: Array) -> Float64[Tensor, ""]:
    """Return the logits' variance of a component, over that of the whole stream.

    tr(G P C P) / tr(G C), P the projection on the span. The rest of the stream and the component
    may be correlated, so shares of complementary subspaces need not add up to 1.

    Args:
        covariance: Of the stream, [d d].
        metric: As `readout_metric` gives it, [d d].
        basis: Independent columns, [d k].

    Returns:
        A float64 scalar, 0 or more.

    Raises:
        ValueError: for shapes that do not fit, dependent columns, or no visible variance.

    >>> metric = torch.diag(torch.tensor([1.0, 0.0]))
    >>> float(visible_share(torch.eye(2), metric, torch.tensor([[0.0], [1.0]])))
    0.0
    """
    c, g = covariance_of(covariance, "covariance"), covariance_of(metric, "metric")
    q = frame(basis, "basis").to(c.device)
    if c.shape != g.shape or len(q) != len(c):
        raise ValueError(
            f"metric, basis: expected [{len(c)} {len(c)}] and {len(c)} rows, "
            f"found {list(g.shape)} and {len(q)}"
        )
    total = torch.einsum("de,ed->", g.to(c.device), c)
    if float(total) <= 0:
        raise ValueError("covariance: expected variance that the readout sees, found none")
    inside = torch.einsum("dk,de,ej->kj", q, c, q)
    seen = torch.einsum("dk,de,ej->kj", q, g.to(c.device), q)
    return (torch.einsum("kj,jk->", inside, seen) / total).clamp_min(0.0)
