"""Next-token decisions of both models on the same contexts, and their logits in chunks."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from hyperinterp.distributed import ALONE, Processes
from hyperinterp.models import HookedModel, check_logits

T = TypeVar("T")

CHUNK = 128
"""Contexts whose logits over the vocabulary are in memory at once."""


@dataclass(frozen=True)
class Contexts:
    """Next-token decisions of both models on the same contexts, before the unembedding.

    Attributes:
        base: final norm's output of the base, `[n, d_model]`.
        fitted: the same of the fitted model.
        row: which token row each context belongs to, `[n]`.
        position: position of the context's last token, `[n]`.
        target: the token that follows in the text, `[n]`.
    """

    base: Float[Tensor, "n d_model"]
    fitted: Float[Tensor, "n d_model"]
    row: Int[Tensor, " n"]
    position: Int[Tensor, " n"]
    target: Int[Tensor, " n"]

    def __len__(self) -> int:
        return len(self.row)

    def where(self, keep: Bool[Tensor, " n"] | Int[Tensor, " m"]) -> "Contexts":
        """The contexts chosen by a mask or by indices."""
        return Contexts(
            self.base[keep],
            self.fitted[keep],
            self.row[keep],
            self.position[keep],
            self.target[keep],
        )

    def in_rows(self, rows: Sequence[int]) -> "Contexts":
        """The contexts of these token rows."""
        return self.where(torch.isin(self.row, torch.tensor(list(rows))))

    def evenly(self, most: int) -> "Contexts":
        """At most `most` contexts, evenly spaced over the rows and positions."""
        return self.where(evenly(len(self), most))


def evenly(total: int, most: int) -> Int[Tensor, " m"]:
    """Indices of at most `most` of `total` items, evenly spaced, the first and last among them."""
    return torch.linspace(0, total - 1, min(most, total)).long()


def chosen_positions(length: int, count: int | None, first: int = 1) -> list[int]:
    """Positions whose next token is predicted: `first` to length-2, at most `count`, evenly.

    Position 0 where that leaves none.
    """
    every = list(range(first, length - 1)) or [0]
    if count is None or count >= len(every):
        return every
    step = len(every) / count
    return [every[int(index * step)] for index in range(count)]


def contexts_of(
    numbers: Sequence[int],
    ids: Tensor,
    finals: tuple[Tensor, Tensor],
    positions: Sequence[Sequence[int]],
) -> Contexts:
    """The decisions of one batch at each row's own positions.

    Args:
        numbers: row numbers of the batch.
        ids: its token ids, `[batch, position]`.
        finals: final norm's outputs of base and fitted, `[batch, position, d_model]`.
        positions: per row, positions of the contexts' last tokens.
    """
    counts = torch.tensor([len(own) for own in positions])
    place = torch.arange(len(numbers)).repeat_interleave(counts)
    where = torch.tensor([position for own in positions for position in own], dtype=torch.long)
    base, fitted = (final[place.to(final.device), where.to(final.device)].cpu() for final in finals)
    return Contexts(
        base=base,
        fitted=fitted,
        row=torch.tensor(numbers)[place],
        position=where,
        target=ids[place, where + 1],
    )


def joined(parts: Sequence[Contexts], d_model: int) -> Contexts:
    """The decisions of several batches, ordered by row and position."""
    if not parts:
        nothing, nobody = torch.zeros(0, d_model), torch.zeros(0, dtype=torch.long)
        return Contexts(nothing, nothing, nobody, nobody, nobody)
    found = Contexts(
        *(
            torch.cat([getattr(part, name) for part in parts])
            for name in ("base", "fitted", "row", "position", "target")
        )
    )
    order = torch.argsort(found.row * 1_000_000 + found.position, stable=True)
    return found.where(order)


def logit_chunks(
    model: HookedModel,
    hidden: Float[Tensor, "n d_model"],
    size: int = 256,
    processes: Processes = ALONE,
    called: str = "",
) -> Iterator[tuple[slice, Float[Tensor, "chunk vocab"]]]:
    """Float32 logits of final-norm outputs as (which, logits), `size` contexts at a time.

    Each of several processes gets its share of the chunks.

    Args:
        model: reads the outputs out.
        hidden: final norm's outputs.
        size: contexts per chunk.
        processes: the processes that share the chunks.
        called: what an error calls the model; its name by default.

    Raises:
        NumericalFault: a logit is NaN or infinite.
        UnsupportedModel: the model rules token ids out by minus infinity.
    """
    for start in processes.share(range(0, len(hidden), size)):
        rows = slice(start, min(start + size, len(hidden)))
        # Never across the yield: two interleaved generators would leave gradients off for good.
        with torch.no_grad():
            logits = model.readout(hidden[rows].to(model.home)).float()
        check_logits(called or model.name, logits)
        yield rows, logits


def paired_logits(
    base: HookedModel,
    fitted: HookedModel,
    contexts: Contexts,
    size: int = 256,
    processes: Processes = ALONE,
) -> Iterator[tuple[slice, Float[Tensor, "chunk vocab"], Float[Tensor, "chunk vocab"]]]:
    """Both models' float32 logits on the same contexts, as (which, base, fitted) chunks.

    Each of several processes gets its share of the chunks; see `over_logits` to have all results.
    """
    ours = logit_chunks(base, contexts.base, size, processes)
    theirs = logit_chunks(fitted, contexts.fitted, size, processes)
    for (rows, first), (_, second) in zip(ours, theirs, strict=True):
        yield rows, first, second.to(first.device)


def over_logits(
    base: HookedModel,
    fitted: HookedModel,
    contexts: Contexts,
    each: Callable[[Tensor, Tensor], T],
    size: int = CHUNK,
    processes: Processes = ALONE,
) -> list[T]:
    """`each(base logits, fitted logits)` of every chunk of contexts, in order, on all processes.

    Args:
        base: the model before.
        fitted: the model after.
        contexts: the decisions.
        each: takes two `[chunk, vocab]` and returns something small, its tensors on the CPU.
        size: most contexts per chunk.
        processes: the processes that share the chunks.
    """
    (size,) = processes.rows_per_batch(size, [len(contexts)])
    found = paired_logits(base, fitted, contexts, size, processes)
    return processes.gathered([each(ours, theirs) for _, ours, theirs in found])
