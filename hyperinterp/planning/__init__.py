"""The needs of a comparison: memory by phase, passes, texts and eigen-decompositions."""

from hyperinterp.planning.asking import operations, plan, timed
from hyperinterp.planning.counting import planned
from hyperinterp.planning.result import Phase, Plan, refuse_if_too_large, size_words

__all__ = [
    "Phase",
    "Plan",
    "operations",
    "plan",
    "planned",
    "refuse_if_too_large",
    "size_words",
    "timed",
]
