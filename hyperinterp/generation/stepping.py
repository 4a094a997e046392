"""One model's logits, a token at a time."""

from collections.abc import Sequence

from jaxtyping import Float, Int
from torch import Tensor

from hyperinterp.generation.inside import Inside
from hyperinterp.generation.keys import PromptKeys, Row
from hyperinterp.models import HookedModel


class Steps:
    """The steps of one model over a batch of texts that grow by a token each.

    Args:
        keys: the model's prompts, read.
        rows: the prompts of the batch, of one length.
        new_tokens: most tokens written after them.
        inside: for which rows the model is another one.

    Attributes:
        model: the model.
    """

    def __init__(
        self, keys: PromptKeys, rows: Sequence[Row], new_tokens: int, inside: Inside
    ) -> None:
        self.model: HookedModel = keys.model
        self._inside, self._count = inside, len(rows)
        self._cache = keys.cache(rows, len(rows[0]) + new_tokens, inside.stitches)
        self.model.forget_lengths()

    def next(self, last: Int[Tensor, "row 1"]) -> Float[Tensor, "row vocab"]:
        """Return the logits of what follows, as float32.

        The model is another one for the time of this pass only: in between, it may lend its blocks
        to a batch of the other model.

        Args:
            last: the last token of every row.
        """
        with self._inside.active(self.model, self._cache, self._count):
            output = self.model.hf(
                input_ids=last.to(self.model.device),
                past_key_values=self._cache,
                use_cache=True,
                logits_to_keep=1,
            )
        return output.logits[:, -1, : self.model.vocab_size].to(self.model.home).float()
