"""Predictions from the stream before the final norm, and KL to them, exact where logits agree."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor

from hyperinterp.capture import logit_chunks
from hyperinterp.models import HookedModel
from probes.ranks.tokens import top1_rows
from probes.slices import row_slices

CHUNK = 256  # contexts read out at once
KEPT_ENTRIES = 1 << 24  # contexts x vocabulary whose probabilities are kept per model and batch


@dataclass(frozen=True)
class Predictions:
    """The predictions of a model at some contexts.

    Attributes:
        weights: probabilities, `[n, vocab]`.
        entropy: in nats, by the sum that `kl_from` uses, `[n]`.
        choice: the greedy choice, `[n]`.
    """

    weights: Float64[Tensor, "n vocab"]
    entropy: Float64[Tensor, " n"]
    choice: Int[Tensor, " n"]

    def kl_from(
        self, rows: slice, logits: Float[Tensor, "piece vocab"]
    ) -> Float64[Tensor, " piece"]:
        """KL(these predictions || softmax(logits)) at some of the contexts, nats.

        A difference of cross-entropies in float64, each computed in the same way, so that it is
        exactly zero where the logits are the same.

        Args:
            rows: which contexts.
            logits: of the other model there.
        """
        weights, entropy = self.weights[rows].to(logits.device), self.entropy[rows]
        return _cross(weights, logits.double()) - entropy.to(logits.device)


def predictions(model: HookedModel, stream: Float[Tensor, "n d"]) -> Predictions:
    """Return what a model predicts from the stream after its last block.

    Args:
        model: reads the stream out.
        stream: before the final norm.
    """
    weights, entropy, choice = [], [], []
    for _, logits in stream_logits(model, stream):
        wide = logits.double()
        weights.append(wide.softmax(-1))
        entropy.append(_cross(weights[-1], wide))
        choice.append(top1_rows(logits))
    return Predictions(*map(torch.cat, (weights, entropy, choice)))


def stream_logits(
    model: HookedModel, stream: Float[Tensor, "n d"], called: str = ""
) -> Iterator[tuple[slice, Float[Tensor, "piece vocab"]]]:
    """Logits of the stream before the final norm, in pieces that stay in cache on a CPU.

    Args:
        model: reads the stream out.
        stream: before the final norm.
        called: what an error calls the model; its name by default.
    """
    with torch.no_grad():
        hidden = model.normalise(stream)
    start = 0
    for _, logits in logit_chunks(model, hidden, CHUNK, called=called):
        for rows in row_slices(*logits.shape, device=logits.device):
            piece = logits[rows]
            yield slice(start, start + len(piece)), piece
            start += len(piece)


def _cross(weights: Tensor, logits: Tensor) -> Tensor:
    """Cross-entropy of softmax(logits) under `weights`."""
    return logits.logsumexp(-1) - torch.einsum("nv,nv->n", weights, logits)
