"""One model's logits, a token at a time."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack

from jaxtyping import Float, Int
from torch import Tensor

from hyperinterp.generation.decoding import Decoding
from hyperinterp.generation.keys import PromptKeys, Row
from hyperinterp.generation.rowwise import Rows, where
from hyperinterp.models import HookedModel, edited

Changes = Sequence[tuple[Rows, Callable[[Tensor], Tensor]]]
"""Rows of a batch, and what becomes of their stream after the last block."""


def changes_of(decodings: Sequence[Decoding]) -> Changes:
    """Return what the arms of a batch make of its streams, arm by arm.

    Args:
        decodings: the arm of every row.
    """
    rows: dict[Decoding, list[int]] = {}
    for row, arm in enumerate(decodings):
        if arm.change is not None:
            rows.setdefault(arm, []).append(row)
    return [(where(found), arm.change) for arm, found in rows.items() if arm.change is not None]


class Steps:
    """The steps of one model over a batch of texts that grow by a token each.

    Args:
        keys: the model's prompts, read.
        rows: the prompts of the batch, of one length.
        new_tokens: most tokens written after them.
        changes: of some rows' streams.

    Attributes:
        model: the model.
    """

    def __init__(
        self, keys: PromptKeys, rows: Sequence[Row], new_tokens: int, changes: Changes = ()
    ) -> None:
        self.model: HookedModel = keys.model
        self._changes = changes
        self._cache = keys.cache(rows, len(rows[0]) + new_tokens)
        self.model.forget_lengths()

    def next(self, last: Int[Tensor, "row 1"]) -> Float[Tensor, "row vocab"]:
        """Return the logits of what follows, as float32.

        Args:
            last: the last token of every row.
        """
        with ExitStack() as stack:
            for rows, change in self._changes:
                stack.enter_context(edited(self.model, self.model.n_layers - 1, change, rows))
            output = self.model.hf(
                input_ids=last.to(self.model.device),
                past_key_values=self._cache,
                use_cache=True,
                logits_to_keep=1,
            )
        return output.logits[:, -1, : self.model.vocab_size].to(self.model.home).float()
