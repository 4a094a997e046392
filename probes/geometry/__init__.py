"""Geometry: how many dimensions activations take up, exactly and with an interval."""

from .corrected import corrected_participation_ratio
from .dimension import effective_rank, participation_ratio, pca_dimension
from .leave_out import LeaveOneOut
from .moments import Moments
from .outliers import norm_outliers, rogue_dimensions
from .prompts import PromptSpectra
from .spectrum import Spectrum

__all__ = [
    "LeaveOneOut",
    "Moments",
    "PromptSpectra",
    "Spectrum",
    "corrected_participation_ratio",
    "effective_rank",
    "norm_outliers",
    "participation_ratio",
    "pca_dimension",
    "rogue_dimensions",
]
