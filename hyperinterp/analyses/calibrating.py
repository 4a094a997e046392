"""Calibration of next-token predictions, its interval by prompt."""

import numpy as np
from torch import Tensor

from hyperinterp.analyses.intervals import resampled
from hyperinterp.analyses.predictions import Reading
from hyperinterp.claims.spec import Pair
from probes import jackknife, paired_jackknife, reliability


def calibration_pair(base: Reading, other: Reading) -> Pair:
    """Return the expected calibration errors of two models, and their paired difference.

    Args:
        base: predictions at some contexts.
        other: predictions at the same contexts.
    """
    sides = [_left_out(side) for side in (base, other)]
    first, second = (resampled(jackknife, *side) for side in sides)
    return Pair(first, second, resampled(paired_jackknife, *sides[0], *sides[1]))


def _left_out(reading: Reading) -> tuple[float, np.ndarray]:
    """The error, and what it is with each prompt left out."""

    def error(keep: Tensor) -> float:
        return reliability(reading.confidence[keep], reading.right[keep]).error

    rows = reading.row.unique().tolist()
    full = error(reading.row >= 0)
    left = [error(reading.row != row) for row in rows] if len(rows) > 1 else [full]
    return full, np.array(left)
