"""MAUVE between human and other texts, on the reference's hidden states."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from hyperinterp.claims.spec import Measured, missing
from probes import frontier_area, mauve

LEAST = 200
"""Fewest texts of a source: with fewer, the value is biased and noisy."""
DRAWS = 200


def likeness(
    human: Float[Tensor, "n d"] | None, other: Float[Tensor, "m d"] | None, texts: int, seed: int
) -> Measured:
    """Return MAUVE of two sets of texts, its interval by bootstrap over fixed clusters.

    Args:
        human: a feature row per human text.
        other: a feature row per other text.
        texts: how many texts there are to compare.
        seed: of k-means and of the bootstrap.
    """
    if texts < LEAST or human is None or other is None:
        return missing(f"MAUVE needs at least {LEAST} texts, found {texts}")
    found = mauve(human, other, seed=seed)
    draw = np.random.default_rng(seed)
    shares = [side.numpy() / side.numpy().sum() for side in (found.p, found.q)]
    sizes = (len(human), len(other))
    resampled = [
        frontier_area(*(_drawn(draw, n, p) for n, p in zip(sizes, shares, strict=True)))
        for _ in range(DRAWS)
    ]
    half = 1.96 * float(np.std(resampled, ddof=1))
    lo, hi = max(0.0, found.value - half), min(1.0, found.value + half)
    n = min(sizes)
    return Measured(found.value, lo, hi, n, "text", "bootstrap of texts over fixed clusters")


def _drawn(draw: np.random.Generator, texts: int, shares: np.ndarray) -> Tensor:
    return torch.from_numpy(draw.multinomial(texts, shares).astype(np.float64))
