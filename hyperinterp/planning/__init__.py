"""The needs of a comparison (memory by phase, passes, texts, spectra) and of a training run."""

from hyperinterp.planning.asking import operations, plan, timed
from hyperinterp.planning.counting import planned
from hyperinterp.planning.result import Phase, Plan, refuse_if_too_large, size_words
from hyperinterp.planning.training import TrainingWork

__all__ = [
    "Phase",
    "Plan",
    "TrainingWork",
    "operations",
    "plan",
    "planned",
    "refuse_if_too_large",
    "size_words",
    "timed",
]
