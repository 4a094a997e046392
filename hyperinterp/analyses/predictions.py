"""Figures of further checkpoints beside the base."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from hyperinterp.analyses.intervals import context_mean, mean_of, ratio_of
from hyperinterp.capture import CHUNK, logit_chunks
from hyperinterp.claims.spec import Measured, Pair, missing
from hyperinterp.distributed import ALONE, Processes
from hyperinterp.drawing.numbers import short
from hyperinterp.models import HookedModel
from probes import entropy
from probes.ranks.tokens import top1_rows


def gain_share(base: np.ndarray, fitted: np.ndarray, other: np.ndarray) -> Measured:
    """Return the share of the fitted model's gain that another text has; 0 is the base, 1 fitted.

    Args:
        base: one score per prompt.
        fitted: the same prompts.
        other: the same prompts.

    Returns:
        Ratio of sums with its interval; missing (with the reason) when the gain's own interval
        does not lie above 0, since a share of nothing says nothing.
    """
    gain = mean_of(fitted - base)
    if gain.value is None:
        return missing(gain.reason)
    if gain.lo is None or gain.hi is None:
        return missing("one prompt only: the gain has no interval")
    if gain.lo <= 0:
        told = (
            "the fitted model has no gain that could be shared out"
            if gain.hi <= 0
            else "the fitted model's gain is not resolved, so no share of it can be"
        )
        interval = f"{short(gain.value)} [{short(gain.lo)}, {short(gain.hi)}]"
        return missing(f"{told}: {interval} in type-token ratio")
    return ratio_of(other - base, fitted - base)


@dataclass(frozen=True)
class Reading:
    """One model's predictions on held-out contexts, each `[n]`.

    Attributes:
        entropy: of the next-token distribution, nats.
        loss: minus the log probability of the true next token, nats.
        choice: the greedy choice.
        confidence: its probability.
        right: 1 where it is the true next token, else 0.
        row: passage of each context.
    """

    entropy: Float[Tensor, " n"]
    loss: Float[Tensor, " n"]
    choice: Int[Tensor, " n"]
    confidence: Float[Tensor, " n"]
    right: Float[Tensor, " n"]
    row: Int[Tensor, " n"]


def read(
    model: HookedModel,
    hidden: Float[Tensor, "n d_model"],
    target: Int[Tensor, " n"],
    row: Int[Tensor, " n"],
    processes: Processes = ALONE,
) -> Reading:
    """Predictions of a model from its final norm's output; several processes share the work."""
    parts = []
    for rows, logits in logit_chunks(model, hidden, CHUNK, processes):
        wanted = target[rows].to(logits.device)
        loss = torch.nn.functional.cross_entropy(logits, wanted, reduction="none")
        top = top1_rows(logits)
        missed = torch.nn.functional.cross_entropy(logits, top, reduction="none")
        found = (entropy(logits), loss, top, (-missed).exp(), (top == wanted).float())
        parts.append(tuple(item.cpu() for item in found))
    joined = map(torch.cat, zip(*processes.gathered(parts), strict=True))
    entropies, losses, choices, sure, right = joined
    return Reading(entropies, losses, choices, sure, right, row)


def pair_over_contexts(base: Tensor, other: Tensor, row: Tensor) -> Pair:
    """Means over contexts of both models and their paired difference."""
    return Pair(context_mean(base, row), context_mean(other, row), context_mean(other - base, row))
