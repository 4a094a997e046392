"""Measures of the quality of a text: surprisal under a reference, calibration, MAUVE."""

from probes.quality.calibration import Calibration, calibration, reliability
from probes.quality.mauve import Mauve, divergence_frontier, frontier_area, mauve
from probes.quality.surprisal import (
    FreshSurprisal,
    fresh_surprisal,
    fresh_tokens,
    shocking_share,
    shocking_threshold,
    surprisal,
)

__all__ = [
    "Calibration",
    "FreshSurprisal",
    "Mauve",
    "calibration",
    "divergence_frontier",
    "fresh_surprisal",
    "fresh_tokens",
    "frontier_area",
    "mauve",
    "reliability",
    "shocking_share",
    "shocking_threshold",
    "surprisal",
]
