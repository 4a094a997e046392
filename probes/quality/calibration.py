"""Expected calibration error of next-token predictions, and the reliability behind it."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from probes._foreign import Array, Ids, real, token_column, values, widen
from probes.ranks.tokens import top1_rows
from probes.slices import row_slices


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
    x = real(logits, "logits")
    column = token_column(tokens, x, "tokens")
    flat = x.reshape(-1, x.shape[-1])
    sure, right = [], []
    for rows in row_slices(*flat.shape, device=flat.device):
        wide = widen(flat[rows], "logits")
        top = top1_rows(wide)
        sure.append((wide.gather(-1, top[:, None]).squeeze(-1) - wide.logsumexp(-1)).exp().cpu())
        right.append((top == column[rows].squeeze(-1).to(top.device)).double().cpu())
    return reliability(torch.cat(sure), torch.cat(right), bins)


def reliability(confidence: Array, right: Array, bins: int = 15) -> Calibration:
    """Return the expected calibration error of predictions of which only the confidence is known.

    Args:
        confidence: Probability that each prediction was given, in [0, 1], shape [n].
        right: 1 where it came true, else 0, shape [n].
        bins: Number of bins of equal width, 1 or more.

    Raises:
        ValueError: for fewer than 1 bin, shapes that differ, numbers outside [0, 1], NaN.

    >>> reliability(torch.tensor([0.75, 0.75]), torch.tensor([1, 0]), bins=2).error
    0.25
    """
    if bins < 1:
        raise ValueError(f"bins: expected 1 or more, found {bins}")
    sure, came = values(confidence, "confidence").flatten(), values(right, "right").flatten()
    if sure.shape != came.shape:
        raise ValueError(f"right: expected shape {list(sure.shape)}, found {list(came.shape)}")
    for name, item in (("confidence", sure), ("right", came)):
        if float(item.min()) < 0 or float(item.max()) > 1 + 1e-6:
            raise ValueError(f"{name}: expected numbers in [0, 1], found others")
    sums = torch.zeros(3, bins, dtype=torch.float64)
    place = (sure * bins).ceil().long().clamp(1, bins) - 1
    sums.index_add_(1, place, torch.stack([torch.ones_like(sure), sure, came]))
    count = sums[0].clamp_min(1)
    share, accuracy = sums[1] / count, sums[2] / count
    error = float((sums[0] * (accuracy - share).abs()).sum() / len(sure))
    return Calibration(error, share, accuracy, sums[0].long())
