"""Ranks of single tokens in their context's logits; rank 1 is the top.

Ties go to the lower token id, so every rank and every top-k list here equals a stable descending
argsort exactly, without sorting the vocabulary. Logits are compared in the dtype they come in.
"""

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from probes._foreign import Array, Ids, check_finite, integers, real, token_column
from probes.devices import home
from probes.slices import row_slices


def rank_rows(logits: Shaped[Tensor, "n v"], tokens: Int[Tensor, "n 1"]) -> Int[Tensor, " n"]:
    """1 + the number of tokens above, and of equal tokens with a lower id, per row."""
    value = logits.gather(-1, tokens)
    above = (logits > value).sum(-1)
    equal = logits == value
    # Only rows with a tie need the ids.
    shared = (equal.sum(-1) > 1).nonzero()[:, 0]
    if len(shared):
        ids = torch.arange(logits.shape[-1], device=logits.device)
        above[shared] += (equal[shared] & (ids < tokens[shared])).sum(-1)
    return above + 1


def top_set(logits: Shaped[Tensor, "n v"], k: int) -> Bool[Tensor, "n v"]:
    """Mask of the first k of a stable descending argsort, per row (all where k >= v)."""
    if k >= logits.shape[-1]:
        return torch.ones_like(logits, dtype=torch.bool)
    cut = logits.topk(k, -1).values[:, -1:]
    return cut_at(logits, cut, k)


def cut_at(
    logits: Shaped[Tensor, "n v"], cut: Shaped[Tensor, "n 1"], k: int
) -> Bool[Tensor, "n v"]:
    """Mask of the k first tokens, given the k-th largest value `cut` of each row."""
    inside = logits >= cut
    over = (inside.sum(-1) > k).nonzero()[:, 0]
    if len(over):
        # More tokens equal the cut than there is room for: the lowest ids stay.
        above, equal = logits[over] > cut[over], logits[over] == cut[over]
        room = k - above.sum(-1, keepdim=True)
        inside[over] = above | (equal & (equal.cumsum(-1) <= room))
    return inside


def top_rows(logits: Shaped[Tensor, "n v"], k: int) -> Int[Tensor, "n k"]:
    """The first k ids of a stable descending argsort, per row; k <= v."""
    ids = top_set(logits, k).nonzero()[:, 1].reshape(-1, k)
    order = torch.sort(logits.gather(-1, ids), dim=-1, descending=True, stable=True).indices
    return ids.gather(-1, order)


def top1_rows(logits: Shaped[Tensor, "*contexts v"]) -> Int[Tensor, "*contexts"]:
    """The top token of each context, the lowest id where several share the maximum.

    torch documents its argmax as the first of equal maxima, on every device; its topk and its
    argsort promise nothing of the kind.
    """
    return logits.argmax(-1)


def order_rows(logits: Shaped[Tensor, "*contexts v"]) -> Int[Tensor, "*contexts v"]:
    """All ids of each context from the top down, of equal logits the lowest id first."""
    return logits.argsort(dim=-1, descending=True, stable=True)


def log_rank_rows(logits: Shaped[Tensor, "n v"]) -> Float[Tensor, "n v"]:
    """Log of every token's rank in each row, in the dtype of the logits."""
    order = order_rows(logits)
    places = torch.arange(1, logits.shape[-1] + 1, device=logits.device).float().log()
    return torch.empty_like(logits).scatter_(-1, order, places.expand_as(order))


def margin_rows(logits: Shaped[Tensor, "n v"]) -> Float[Tensor, " n"]:
    """Largest minus second largest logit of each row, in float64."""
    top = home(logits.topk(2, -1).values).to(torch.float64)
    return top[:, 0] - top[:, 1]


def token_ranks(logits: Array, tokens: Ids | int) -> Int[Tensor, "*contexts"]:
    """Rank of one token per context, in [1, v]; 1 is the top.

    Ties are broken by the lower token id, so this equals the position in a stable descending
    argsort, plus one. Costs two comparisons per logit; nothing is sorted.

    Args:
        logits: Shape [... v], any float dtype, compared as it is.
        tokens: Token ids of shape [...].

    Returns:
        int64 of shape [...].

    Raises:
        ValueError: for shapes that do not fit, ids outside [0, v), NaN or infinity.

    >>> token_ranks(torch.tensor([[0.5, 2.0, 2.0]]), [2])
    tensor([2])
    """
    x = real(logits, "logits")
    flat, column = x.reshape(-1, x.shape[-1]), token_column(tokens, x, "tokens")
    parts: list[Tensor] = []
    for rows in row_slices(*flat.shape, device=flat.device):
        check_finite(flat[rows], "logits")
        parts.append(rank_rows(flat[rows], column[rows]))
    return torch.cat(parts).reshape(x.shape[:-1])


def tied(logits: Array, tokens: Ids | int) -> Int[Tensor, "*contexts"]:
    """Count the OTHER tokens that have exactly the same logit as the given one, in [0, v - 1].

    A rank is known only up to this number.

    Args:
        logits: Shape [... v].
        tokens: Token ids of shape [...].

    Raises:
        ValueError: as `token_ranks`.

    >>> tied(torch.tensor([[0.5, 2.0, 2.0]]), [2])
    tensor([1])
    """
    x = real(logits, "logits")
    flat, column = x.reshape(-1, x.shape[-1]), token_column(tokens, x, "tokens")
    parts: list[Tensor] = []
    for rows in row_slices(*flat.shape, device=flat.device):
        check_finite(flat[rows], "logits")
        parts.append((flat[rows] == flat[rows].gather(-1, column[rows])).sum(-1) - 1)
    return torch.cat(parts).reshape(x.shape[:-1])


def top_tokens(logits: Array, k: int) -> Int[Tensor, "*contexts k"]:
    """The first k token ids of a stable descending argsort, per context.

    Args:
        logits: Shape [... v].
        k: How many, 1 to v.

    Raises:
        ValueError: for k outside [1, v], an empty input, NaN or infinity.

    >>> top_tokens(torch.tensor([1.0, 3.0, 3.0, 2.0]), 3)
    tensor([1, 2, 3])
    """
    x = real(logits, "logits")
    if not 1 <= k <= x.shape[-1]:
        raise ValueError(f"k: expected 1 to {x.shape[-1]}, found {k}")
    flat = x.reshape(-1, x.shape[-1])
    parts: list[Tensor] = []
    for rows in row_slices(*flat.shape, device=flat.device):
        check_finite(flat[rows], "logits")
        parts.append(top_rows(flat[rows], k))
    return torch.cat(parts).reshape(*x.shape[:-1], k)


def top_margin(logits: Array) -> Float[Tensor, "*contexts"]:
    """Gap between the largest and the second largest logit per context, in [0, inf), in nats.

    Also the log of the ratio of the two greatest probabilities.

    Raises:
        ValueError: for fewer than two tokens, an empty input, NaN or infinity.
    """
    x = real(logits, "logits")
    if x.shape[-1] < 2:
        raise ValueError(f"logits: expected at least 2 tokens, found shape {list(x.shape)}")
    check_finite(x, "logits")
    flat = x.reshape(-1, x.shape[-1])
    slices = row_slices(*flat.shape, device=flat.device)
    return torch.cat([margin_rows(flat[rows]) for rows in slices]).reshape(x.shape[:-1])


def near_ties(logits: Array, tolerance: float) -> Bool[Tensor, "*contexts"]:
    """Mark where `top_margin` is at most `tolerance`: the argmax there may be rounding's choice.

    Args:
        logits: Shape [... v].
        tolerance: In the unit of the logits, 0 or more.

    Raises:
        ValueError: for a negative tolerance, and as for `top_margin`.
    """
    if not tolerance >= 0:
        raise ValueError(f"tolerance: expected 0 or more, found {tolerance}")
    return top_margin(logits) <= tolerance


def mean_log_rank(ranks: Ids) -> Float[Tensor, ""]:
    """Mean natural log of ranks, in [0, log v]; its exp is their geometric mean. Float64 scalar.

    Raises:
        ValueError: for no ranks, or ranks below 1.

    >>> mean_log_rank([1, 100]).exp()
    tensor(10.0000, dtype=torch.float64)
    """
    return home(checked_ranks(ranks)).double().log().mean()


def checked_ranks(ranks: Ids) -> Tensor:
    """Ranks as int64, refused where empty or below 1."""
    out = integers(ranks, "ranks")
    if out.numel() == 0 or int(out.min()) < 1:
        found = "none" if out.numel() == 0 else int(out.min())
        raise ValueError(f"ranks: expected ranks of 1 or more, found {found}")
    return out
