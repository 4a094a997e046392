"""Expected calibration error of next-token predictions, and the reliability behind it."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from probes._foreign import Array, Ids, real, row_slices, token_column, widen
from probes.ranks.tokens import top1_rows


@dataclass(frozen=True, eq=False)
class Calibration:
    """The gap of confidence and accuracy, over equal-width bins of confidence.

    Attributes:
        error: Expected calibration error, in [0, 1].
        confidence: Mean probability of the top token in each bin; 0 where a bin is empty, [bins].
        accuracy: Share of top tokens that came next; 0 where a bin is empty, [bins].
        counts: Predictions in each bin, [bins].
    """

    error: float
    confidence: Float[Tensor, " bins"]
    accuracy: Float[Tensor, " bins"]
    counts: Int[Tensor, " bins"]


def calibration(logits: Array, tokens: Ids | int, bins: int = 15) -> Calibration:
    """Return the expected calibration error of the top token.

    sum_b n_b / n |accuracy_b - confidence_b| over bins of equal width of the top probability
    (Naeini et al. 2015; Guo et al. 2017, arXiv:1706.04599).

    Args:
        logits: Next-token logits, shape [... v].
        tokens: The token that came next, shape [...].
        bins: Number of bins, 1 or more.

    Raises:
        ValueError: for fewer than 1 bin, ids of another shape or outside the vocabulary, NaN or
            infinity.

    >>> calibration(torch.zeros(8, 4), torch.tensor([0, 0, 1, 1, 2, 2, 3, 3])).error
    0.0
    """
    if bins < 1:
        raise ValueError(f"bins: expected 1 or more, found {bins}")
    x = real(logits, "logits")
    column = token_column(tokens, x, "tokens")
    flat = x.reshape(-1, x.shape[-1])
    sums = torch.zeros(3, bins, dtype=torch.float64)
    for rows in row_slices(*flat.shape, device=flat.device):
        wide = widen(flat[rows], "logits")
        top = top1_rows(wide)
        sure = (wide.gather(-1, top[:, None]).squeeze(-1) - wide.logsumexp(-1)).exp().cpu()
        right = (top == column[rows].squeeze(-1).to(top.device)).double().cpu()
        place = (sure * bins).ceil().long().clamp(1, bins) - 1
        weights = torch.stack([torch.ones_like(sure), sure, right])
        sums.index_add_(1, place, weights)
    count = sums[0].clamp_min(1)
    confidence, accuracy = sums[1] / count, sums[2] / count
    error = float((sums[0] * (accuracy - confidence).abs()).sum() / len(flat))
    return Calibration(error, confidence, accuracy, sums[0].long())
