"""MAUVE: the area under the divergence frontier of two sets of texts (Pillutla et al. 2021).

Source: arXiv:2102.01454. Features come from the caller (hidden states of a reference model, one
row a text); PCA and k-means are scikit-learn's.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from probes._foreign import Array, real, values, widen


@dataclass(frozen=True, eq=False)
class Mauve:
    """The value and what it was computed from.

    Attributes:
        value: In (0, 1]; 1 for equal histograms.
        p: Share of the first set's texts in each cluster, [k].
        q: Share of the second set's, [k].
        axes: Principal axes that the clusters were found in.
    """

    value: float
    p: Float[Tensor, " k"]
    q: Float[Tensor, " k"]
    axes: int


def _histogram(x: Array, name: str) -> Tensor:
    found = values(x, name)
    if found.ndim != 1 or bool((found < 0).any()) or float(found.sum()) <= 0:
        raise ValueError(f"{name}: expected a 1-D histogram of counts or shares, none negative")
    return found / found.sum()


def _divergence(p: Tensor, q: Tensor) -> float:
    """KL(p || q) in nats of two histograms, q positive where p is."""
    return float(torch.where(p > 0, p * (p.clamp_min(1e-300) / q.clamp_min(1e-300)).log(), 0).sum())


def divergence_frontier(
    p: Array, q: Array, *, scale: float = 5.0, points: int = 25
) -> Float[Tensor, "points 2"]:
    """Return exp(-scale KL(q || r)), exp(-scale KL(p || r)) along r = w p + (1 - w) q.

    Args:
        p: Histogram of the first set, [k], counts or shares.
        q: Histogram of the second set, [k].
        scale: Factor of the divergences, above 0.
        points: Mixtures, weights evenly spaced in (0, 1).

    Returns:
        Float64 of shape [points + 2, 2] in [0, 1], the end points (0, 1) and (1, 0) included.

    Raises:
        ValueError: for histograms of different length, negative entries, or no mass.
    """
    first, second = _histogram(p, "p"), _histogram(q, "q")
    if len(first) != len(second):
        raise ValueError(f"q: expected {len(first)} clusters as p, found {len(second)}")
    if not scale > 0 or points < 1:
        raise ValueError(f"scale, points: expected more than 0, found {scale} and {points}")
    found = [[0.0, 1.0]]
    for weight in np.linspace(1 - 1e-6, 1e-6, points):
        mixed = weight * first + (1 - weight) * second
        found.append([-scale * _divergence(second, mixed), -scale * _divergence(first, mixed)])
        found[-1] = [float(np.exp(value)) for value in found[-1]]
    return torch.tensor([*found, [1.0, 0.0]], dtype=torch.float64)


def frontier_area(p: Array, q: Array, *, scale: float = 5.0, points: int = 25) -> float:
    """Return the area under the divergence frontier of two histograms, in (0, 1].

    By the trapezoid rule; the curve falls from (0, 1) to (1, 0), so either axis gives one area.

    Args:
        p: Histogram of the first set, [k].
        q: Histogram of the second set, [k].
        scale: As in `divergence_frontier`.
        points: As in `divergence_frontier`.

    Raises:
        ValueError: as `divergence_frontier`.

    >>> round(frontier_area(torch.tensor([2.0, 2.0]), torch.tensor([1.0, 1.0])), 6)
    1.0
    """
    curve = divergence_frontier(p, q, scale=scale, points=points)
    return float(torch.trapezoid(curve[:, 1], curve[:, 0]))


def mauve(
    features_p: Array,
    features_q: Array,
    *,
    clusters: int | None = None,
    explained: float = 0.9,
    seed: int = 0,
    restarts: int = 5,
    scale: float = 5.0,
) -> Mauve:
    """Return MAUVE between two sets of texts from a feature row of each text.

    Rows are scaled to unit length, projected on the leading principal axes of both sets together,
    and clustered; the two histograms over the clusters give the divergence frontier.

    Args:
        features_p: One row per text of the first set, [n d].
        features_q: One row per text of the second set, [m d].
        clusters: Number of clusters; a tenth of the smaller set by default, at least 2.
        explained: Share of the variance that the axes keep, in (0, 1].
        seed: Of k-means.
        restarts: Of k-means; the best one counts.
        scale: As in `divergence_frontier`.

    Returns:
        A `Mauve`. With fewer than some 200 texts a set, the value is biased and noisy.

    Raises:
        ValueError: for widths that differ, fewer texts than clusters, NaN or infinity, a row of
            zero length.
    """
    from sklearn.cluster import KMeans
    from sklearn.decomposition import PCA

    rows = [
        widen(real(x, name, ndim=2, axes="[n d]"), name).cpu()
        for x, name in ((features_p, "features_p"), (features_q, "features_q"))
    ]
    if rows[0].shape[1] != rows[1].shape[1]:
        found = rows[1].shape[1]
        raise ValueError(f"features_q: expected width {rows[0].shape[1]}, found {found}")
    if not 0 < explained <= 1:
        raise ValueError(f"explained: expected a number in (0, 1], found {explained}")
    smaller = min(len(rows[0]), len(rows[1]))
    k = max(2, round(smaller / 10)) if clusters is None else clusters
    if not 2 <= k <= len(rows[0]) + len(rows[1]):
        raise ValueError(f"clusters: expected 2 to the number of texts, found {k}")
    both = torch.cat(rows)
    size = torch.linalg.vector_norm(both, dim=1, keepdim=True)
    if bool((size == 0).any()):
        raise ValueError("features: expected rows of some length, found a zero row")
    unit = (both / size).numpy()
    fitted = PCA(svd_solver="full").fit(unit)
    held = np.cumsum(fitted.explained_variance_ratio_)
    axes = 1 + int((held[:-1] < explained * (1 - 1e-12)).sum())
    placed = fitted.transform(unit)[:, :axes]
    restarted: Any = restarts  # scikit-learn's annotation knows "auto" only
    labels = KMeans(k, n_init=restarted, max_iter=500, random_state=seed).fit_predict(placed)
    counts = [np.bincount(part, minlength=k) for part in np.split(labels, [len(rows[0])])]
    p, q = (torch.from_numpy(count / count.sum()) for count in counts)
    return Mauve(frontier_area(p, q, scale=scale), p, q, axes)
