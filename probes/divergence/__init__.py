"""Divergences of next-token distributions, and temperatures that match one to another."""

from probes.divergence.measures import entropy, js_divergence, kl_divergence
from probes.divergence.temperature import (
    TemperatureMatch,
    matched_temperature,
    mean_entropy,
)

__all__ = [
    "TemperatureMatch",
    "entropy",
    "js_divergence",
    "kl_divergence",
    "matched_temperature",
    "mean_entropy",
]
