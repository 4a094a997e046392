"""Divergences of next-token distributions, and the changes of logits that bring two together."""

from probes.divergence.measures import entropy, entropy_and_slope, js_divergence, kl_divergence
from probes.divergence.nearest import BestTemperature, best_temperature
from probes.divergence.static import (
    BiasLoss,
    FittedBias,
    ScaleAndShift,
    ScaleShiftAccumulator,
    centred_shift,
    fitted_bias,
    scale_and_shift,
)
from probes.divergence.temperature import (
    TemperatureMatch,
    matched_temperature,
    mean_entropy,
)

__all__ = [
    "BestTemperature",
    "BiasLoss",
    "FittedBias",
    "ScaleAndShift",
    "ScaleShiftAccumulator",
    "TemperatureMatch",
    "best_temperature",
    "centred_shift",
    "entropy",
    "entropy_and_slope",
    "fitted_bias",
    "js_divergence",
    "kl_divergence",
    "matched_temperature",
    "mean_entropy",
    "scale_and_shift",
]
