"""The shared work of one comparison's claims: held-out text, a run's context, runs of the pair."""

from hyperinterp.runs.context import RunContext
from hyperinterp.runs.geometry import Geometry
from hyperinterp.runs.heldout import HeldOut
from hyperinterp.runs.overrides import Followed, depths, found_overrides
from hyperinterp.runs.shared import SharedRuns

__all__ = [
    "Followed",
    "Geometry",
    "HeldOut",
    "RunContext",
    "SharedRuns",
    "depths",
    "found_overrides",
]
