"""Ranks in five buckets: 1, 2-10, 11-100, 101-1000, >1000."""

import torch
from jaxtyping import Int, Shaped, UInt8
from torch import Tensor

from probes._foreign import Array, Ids, check_finite, real, same_shape
from probes.ranks.tokens import checked_ranks, cut_at
from probes.slices import row_slices

RANK_BUCKETS: tuple[tuple[int, int | None], ...] = (
    (1, 1),
    (2, 10),
    (11, 100),
    (101, 1000),
    (1001, None),
)
"""First and last rank of each bucket; the last bucket has no end."""

_LAST = (1, 10, 100, 1000)


def bucket_label(bucket: int) -> str:
    """The name of a bucket as it is printed.

    Args:
        bucket: index into `RANK_BUCKETS`, 0 to 4.

    Raises:
        IndexError: there is no such bucket.

    >>> [bucket_label(i) for i in range(5)]
    ['1', '2-10', '11-100', '101-1000', '>1000']
    """
    first, last = RANK_BUCKETS[bucket]
    if last is None:
        return f">{first - 1}"
    return str(first) if first == last else f"{first}-{last}"


def bucket_of(ranks: Ids) -> Int[Tensor, "*contexts"]:
    """Index into `RANK_BUCKETS` of each rank, in [0, 4], same shape as `ranks`.

    Raises:
        ValueError: for no ranks, or ranks below 1.

    >>> bucket_of([1, 2, 10, 11, 1000, 1001])
    tensor([0, 1, 1, 2, 3, 4])
    """
    out = checked_ranks(ranks)
    return torch.bucketize(out, torch.tensor(_LAST, device=out.device))


def bucket_counts(ranks: Ids) -> Int[Tensor, " 5"]:
    """Count the `ranks` in each bucket. Raises ValueError as `bucket_of`.

    >>> bucket_counts([1, 1, 7, 5000])
    tensor([2, 1, 0, 0, 1])
    """
    return torch.bincount(bucket_of(ranks).reshape(-1), minlength=len(RANK_BUCKETS))


def _bucket_rows(logits: Shaped[Tensor, "n v"]) -> UInt8[Tensor, "n v"]:
    """The bucket of every token of every row, as uint8."""
    deepest = min(_LAST[-1], logits.shape[-1])
    top = logits.topk(deepest, -1).values
    bucket = torch.zeros(logits.shape, dtype=torch.uint8, device=logits.device)
    for last in _LAST:
        if last < logits.shape[-1]:
            bucket += ~cut_at(logits, top[:, last - 1 : last], last)
    return bucket


def rank_flow(base_logits: Array, fitted_logits: Array) -> Int[Tensor, "5 5"]:
    """Count the (context, token) pairs that move from base bucket i (row) to fitted j (column).

    Every token of the vocabulary counts once per context, so row i sums to the number of contexts
    times the size of bucket i. Ties go to the lower id. Contexts are summed.

    Args:
        base_logits: Shape [... v].
        fitted_logits: The same shape.

    Returns:
        int64 counts.

    Raises:
        ValueError: for shapes or devices that differ, an empty input, NaN or infinity.

    >>> rank_flow(torch.tensor([3.0, 2.0, 1.0]), torch.tensor([2.0, 3.0, 1.0]))[:2, :2]
    tensor([[0, 1],
            [1, 1]])
    """
    base, fitted = real(base_logits, "base_logits"), real(fitted_logits, "fitted_logits")
    same_shape(base, fitted, "base_logits", "fitted_logits")
    base, fitted = base.reshape(-1, base.shape[-1]), fitted.reshape(-1, base.shape[-1])
    size = len(RANK_BUCKETS)
    counts = torch.zeros(size * size, dtype=torch.int64, device=base.device)
    for rows in row_slices(*base.shape, device=base.device):
        check_finite(base[rows], "base_logits")
        check_finite(fitted[rows], "fitted_logits")
        cell = _bucket_rows(base[rows]) * size + _bucket_rows(fitted[rows])
        counts += torch.bincount(cell.reshape(-1), minlength=size * size)
    return counts.reshape(size, size)
