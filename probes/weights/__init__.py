"""The change of a weight matrix: size, rank, spectrum, and directions that it had not before."""

from probes.weights.change import WeightChange, truncated_change, weight_change
from probes.weights.intruders import Intruders, intruder_directions

__all__ = [
    "Intruders",
    "WeightChange",
    "intruder_directions",
    "truncated_change",
    "weight_change",
]
