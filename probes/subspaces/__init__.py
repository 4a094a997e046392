"""New directions between two covariances, their removal, and what the readout sees of a stream."""

from probes.subspaces.components import (
    interchange_component,
    leading_directions,
    matched_random_directions,
    removed_variance,
    replace_component,
)
from probes.subspaces.new_directions import NewDirections, new_directions
from probes.subspaces.readout import (
    VisibleSpectrum,
    readout_metric,
    visible_share,
    visible_spectrum,
)

__all__ = [
    "NewDirections",
    "VisibleSpectrum",
    "interchange_component",
    "leading_directions",
    "matched_random_directions",
    "new_directions",
    "readout_metric",
    "removed_variance",
    "replace_component",
    "visible_share",
    "visible_spectrum",
]
