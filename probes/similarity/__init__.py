"""Similarity of two sets of activations or of two subspaces."""

from probes.similarity.cka import CrossMoments, linear_cka
from probes.similarity.drift import Drift, DriftAccumulator, DriftMeans, drift
from probes.similarity.subspaces import principal_angles, subspace_overlap, variance_outside

__all__ = [
    "CrossMoments",
    "Drift",
    "DriftAccumulator",
    "DriftMeans",
    "drift",
    "linear_cka",
    "principal_angles",
    "subspace_overlap",
    "variance_outside",
]
