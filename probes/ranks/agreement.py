"""Agreement of two orderings of the vocabulary: over all of it, or weighted to the top."""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from probes._foreign import Array, check_finite, real, same_shape
from probes.devices import home
from probes.ranks.tokens import top_rows, top_set
from probes.slices import row_slices


def _by_rows(
    a: Array, b: Array, names: tuple[str, str], rows_of: Callable[[Tensor, Tensor], Tensor]
) -> Tensor:
    x, y = real(a, names[0]), real(b, names[1])
    same_shape(x, y, *names)
    lead, x, y = x.shape[:-1], x.reshape(-1, x.shape[-1]), y.reshape(-1, x.shape[-1])
    parts: list[Tensor] = []
    for rows in row_slices(*x.shape, device=x.device):
        check_finite(x[rows], names[0])
        check_finite(y[rows], names[1])
        parts.append(rows_of(home(x[rows]), home(y[rows])))
    return torch.cat(parts).reshape(lead)


def _sorted_with_ids(
    x: Shaped[Tensor, "n v"],
) -> tuple[Shaped[Tensor, "n v"], Int[Tensor, "n v"]]:
    """Values ascending (as they are, or as ints of the same order) and their ids."""
    if x.device.type != "cpu" or x.dtype == torch.float64:
        found = torch.sort(x, dim=-1)
        return found.values, found.indices
    # On a CPU numpy sorts (value, id) packed in one int64 eight times as fast as torch sorts.
    bits = (x.to(torch.float32) + 0.0).view(torch.int32)
    bits = bits ^ ((bits >> 31) & 0x7FFFFFFF)
    keys = (bits.to(torch.int64) << 32) | torch.arange(x.shape[-1])
    packed = torch.from_numpy(np.sort(keys.numpy(), axis=-1))
    return packed >> 32, packed & 0xFFFFFFFF


def average_ranks(x: Shaped[Tensor, "n v"]) -> Float[Tensor, "n v"]:
    """Ascending ranks 1..v per row, equal values sharing the mean of theirs. Float64."""
    values, ids = _sorted_with_ids(x)
    starts = torch.ones_like(values, dtype=torch.bool)
    starts[:, 1:] = values[:, 1:] != values[:, :-1]
    first = starts.reshape(-1).nonzero()[:, 0]
    size = first.diff(append=first.new_tensor([starts.numel()]))
    middle = first.to(torch.float64).add_(size, alpha=0.5).add_(0.5)
    ranks = middle.repeat_interleave(size).reshape(x.shape)
    ranks -= torch.arange(len(x), device=x.device)[:, None] * x.shape[-1]
    return torch.empty_like(ranks).scatter_(-1, ids, ranks)


def _spearman_rows(a: Tensor, b: Tensor) -> Tensor:
    x, y = average_ranks(a), average_ranks(b)
    middle = (a.shape[-1] + 1) / 2
    x, y = x - middle, y - middle
    scale = torch.einsum("nv,nv->n", x, x) * torch.einsum("nv,nv->n", y, y)
    if bool((scale == 0).any()):
        raise ValueError("a, b: expected logits that differ within each context, found a constant")
    return (torch.einsum("nv,nv->n", x, y) / scale.sqrt()).clamp(-1.0, 1.0)


def spearman(a: Array, b: Array) -> Float[Tensor, "*contexts"]:
    """Spearman's rank correlation over the vocabulary, per context, in [-1, 1].

    Pearson's correlation of the ranks; equal logits share their average rank. Weighs the whole
    tail alike: see `rank_biased_overlap` for the top.

    Args:
        a: Logits of shape [... v], v >= 2.
        b: The same shape.

    Returns:
        Float64 of shape [...].

    Raises:
        ValueError: for shapes or devices that differ, a context whose logits are all equal (the
            correlation is undefined), an empty input, NaN or infinity.

    Source: Spearman 1904, "The proof and measurement of association between two things".

    >>> spearman(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([9.0, 8.0, 1.0]))
    tensor(-1., dtype=torch.float64)
    """
    return _by_rows(a, b, ("a", "b"), _spearman_rows)


def _overlap_rows(a: Tensor, b: Tensor, depth: int) -> Tensor:
    """Size of the overlap of the two top-d lists, for d = 1..depth. Shape [n depth]."""
    top_a, top_b = top_rows(a, depth), top_rows(b, depth)
    place = torch.arange(depth, device=a.device).expand(len(a), -1)
    where_b = torch.full(a.shape, depth, device=a.device, dtype=torch.int64)
    where_b.scatter_(-1, top_b, place)
    # A token counts from the depth at which both lists hold it.
    joined = torch.maximum(where_b.gather(-1, top_a), place)
    met = torch.zeros(len(a), depth + 1, device=a.device, dtype=torch.int64)
    met.scatter_add_(-1, joined, torch.ones_like(joined))
    return met[:, :depth].cumsum(-1)


def rank_biased_overlap(
    a_logits: Array, b_logits: Array, p: float = 0.9, depth: int = 1000
) -> Float[Tensor, "*contexts"]:
    """Extrapolated rank-biased overlap of two orderings of the vocabulary, in [0, 1].

    RBO_ext = (X_k / k) p^k + (1 - p) / p * sum_{d=1..k} (X_d / d) p^d, with X_d the overlap of the
    two top-d lists and k = min(depth, v): Webber, Moffat and Zobel 2010, eq. 32. 1 where the two
    top-k lists are the same, 0 where they share nothing. The expected depth that is looked at is
    1 / (1 - p): at p = 0.9 the first ten ranks hold 86 % of the weight.

    Args:
        a_logits: Shape [... v].
        b_logits: The same shape.
        p: Persistence, in (0, 1).
        depth: Ranks compared; cut to v.

    Returns:
        Float64 of shape [...].

    Raises:
        ValueError: for p or depth out of range, shapes or devices that differ, an empty input,
            NaN or infinity.

    >>> rank_biased_overlap(torch.tensor([3.0, 2.0, 1.0]), torch.tensor([3.0, 2.0, 1.0]))
    tensor(1., dtype=torch.float64)
    """
    if not 0 < p < 1:
        raise ValueError(f"p: expected a number strictly between 0 and 1, found {p}")
    if depth < 1:
        raise ValueError(f"depth: expected 1 or more, found {depth}")

    def rows_of(a: Tensor, b: Tensor) -> Tensor:
        k = min(depth, a.shape[-1])
        d = torch.arange(1, k + 1, device=a.device, dtype=torch.float64)
        share = _overlap_rows(a, b, k) / d
        weight = (1 - p) / p * p**d
        return (share @ weight + share[:, -1] * p**k).clamp(0.0, 1.0)

    return _by_rows(a_logits, b_logits, ("a_logits", "b_logits"), rows_of)


def jaccard_at_k(a_logits: Array, b_logits: Array, k: int) -> Float[Tensor, "*contexts"]:
    """Jaccard index of the two top-k sets per context, in [0, 1]: |A and B| / |A or B|.

    Args:
        a_logits: Shape [... v].
        b_logits: The same shape.
        k: Size of the sets, in [1, v]. Ties at the edge go to the lower id.

    Returns:
        Float64 of shape [...].

    Raises:
        ValueError: for k out of range, shapes or devices that differ, an empty input, NaN or
            infinity.

    >>> jaccard_at_k(torch.tensor([3.0, 2.0, 1.0]), torch.tensor([3.0, 1.0, 2.0]), k=2)
    tensor(0.3333, dtype=torch.float64)
    """

    def rows_of(a: Tensor, b: Tensor) -> Tensor:
        if not 1 <= k <= a.shape[-1]:
            raise ValueError(f"k: expected 1 to {a.shape[-1]}, found {k}")
        shared = (top_set(a, k) & top_set(b, k)).sum(-1)
        return shared.double() / (2 * k - shared)

    return _by_rows(a_logits, b_logits, ("a_logits", "b_logits"), rows_of)
