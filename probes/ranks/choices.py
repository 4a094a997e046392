"""Overrides: contexts where the fitted model's greedy choice is not the base model's."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from probes._foreign import Array, check_finite, real, same_shape
from probes.devices import home
from probes.ranks.tokens import margin_rows, rank_rows, top1_rows
from probes.slices import row_slices


@dataclass(frozen=True)
class Overrides:
    """The greedy choices of two models in the same contexts, each tensor of shape [...].

    Attributes:
        base_token: The base model's argmax (the lowest id of a tie).
        fitted_token: The fitted model's argmax.
        base_rank: Rank that the BASE model gives to `fitted_token`, from 1.
        fitted_rank: Rank that the FITTED model gives to `base_token`, from 1.
        overridden: Where the two tokens differ.
        base_margin: Top-1 minus top-2 logit of the base, in nats; 0 is a tie.
        fitted_margin: The same of the fitted model.
        base_gap: Base logit of `base_token` minus that of `fitted_token`, in nats, >= 0.
    """

    base_token: Int[Tensor, "*contexts"]
    fitted_token: Int[Tensor, "*contexts"]
    base_rank: Int[Tensor, "*contexts"]
    fitted_rank: Int[Tensor, "*contexts"]
    overridden: Bool[Tensor, "*contexts"]
    base_margin: Float[Tensor, "*contexts"]
    fitted_margin: Float[Tensor, "*contexts"]
    base_gap: Float[Tensor, "*contexts"]

    @property
    def rate(self) -> float:
        """Share of contexts in which the greedy choice differs, in [0, 1]."""
        return float(home(self.overridden).double().mean())


@dataclass(frozen=True)
class TokenTable:
    """Tokens with how often they were promoted or demoted, most often first.

    Attributes:
        tokens: Token ids.
        counts: Overridden contexts in which the token was the one promoted (demoted).
        mean_log_ranks: Mean log of the rank it came from (fell to): its depth in nats.
        total: All overridden contexts, also those of tokens left off the table.
    """

    tokens: Int[Tensor, " k"]
    counts: Int[Tensor, " k"]
    mean_log_ranks: Float[Tensor, " k"]
    total: int


def _override_rows(
    base: Shaped[Tensor, "n v"], fitted: Shaped[Tensor, "n v"]
) -> tuple[Tensor, ...]:
    base_token, fitted_token = top1_rows(base), top1_rows(fitted)
    chosen = home(base.gather(-1, torch.stack([base_token, fitted_token], -1))).to(torch.float64)
    return (
        base_token,
        fitted_token,
        rank_rows(base, fitted_token[:, None]),
        rank_rows(fitted, base_token[:, None]),
        base_token != fitted_token,
        margin_rows(base),
        margin_rows(fitted),
        chosen[:, 0] - chosen[:, 1],
    )


def overrides(base_logits: Array, fitted_logits: Array) -> Overrides:
    """Compare the greedy choices of two models context by context.

    Args:
        base_logits: Shape [... v], v >= 2.
        fitted_logits: The same shape; the same contexts in the same order.

    Returns:
        An `Overrides` with tensors of shape [...].

    Raises:
        ValueError: for shapes or devices that differ, fewer than two tokens, an empty input, NaN
            or infinity.

    Source: the override of a greedy choice and its base rank, Li et al., arXiv:2605.22579; the
    margins and gaps are added here.

    >>> o = overrides(torch.tensor([[3.0, 2.0, 1.0]]), torch.tensor([[1.0, 2.0, 3.0]]))
    >>> int(o.fitted_token), int(o.base_rank), o.rate
    (2, 3, 1.0)
    """
    base, fitted = real(base_logits, "base_logits"), real(fitted_logits, "fitted_logits")
    same_shape(base, fitted, "base_logits", "fitted_logits")
    if base.shape[-1] < 2:
        raise ValueError(f"base_logits: expected at least 2 tokens, found {list(base.shape)}")
    lead = base.shape[:-1]
    base, fitted = base.reshape(-1, base.shape[-1]), fitted.reshape(-1, base.shape[-1])
    parts: list[tuple[Tensor, ...]] = []
    for rows in row_slices(*base.shape, device=base.device):
        check_finite(base[rows], "base_logits")
        check_finite(fitted[rows], "fitted_logits")
        parts.append(_override_rows(base[rows], fitted[rows]))
    return Overrides(*(torch.cat(column).reshape(lead) for column in zip(*parts, strict=True)))


def _table(tokens: Tensor, ranks: Tensor, top: int) -> TokenTable:
    if top < 1:
        raise ValueError(f"top: expected 1 or more, found {top}")
    tokens, ranks = home(tokens), home(ranks)
    ids, inverse, counts = torch.unique(tokens, return_inverse=True, return_counts=True)
    depth = torch.zeros(len(ids), dtype=torch.float64, device=ids.device)
    depth.index_add_(0, inverse, ranks.to(torch.float64).log())
    depth /= counts
    # Stable sorts from the last key to the first: id, then depth, then count.
    order = torch.sort(depth, descending=True, stable=True).indices
    order = order[torch.sort(counts[order], descending=True, stable=True).indices][:top]
    return TokenTable(ids[order], counts[order], depth[order], len(tokens))


def promoted_tokens(found: Overrides, top: int = 20) -> TokenTable:
    """The tokens that most often became the greedy choice where another one was.

    Ordered by count, then by the depth they came from (mean log base rank), then by id.

    Args:
        found: From `overrides`.
        top: Tokens listed at most.

    Raises:
        ValueError: for `top` below 1.
    """
    at = found.overridden
    return _table(found.fitted_token[at], found.base_rank[at], top)


def demoted_tokens(found: Overrides, top: int = 20) -> TokenTable:
    """The tokens that most often stopped being the greedy choice; depth by mean log fitted rank.

    Args:
        found: From `overrides`.
        top: Tokens listed at most.

    Raises:
        ValueError: for `top` below 1.
    """
    at = found.overridden
    return _table(found.base_token[at], found.fitted_rank[at], top)
