"""Text under a reference model: the surprisal of its tokens, by the reference's own tokenizer."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from hyperinterp.capture import CHUNK, logit_chunks
from hyperinterp.distributed import ALONE, Processes
from hyperinterp.generation.keys import PromptKeys
from hyperinterp.models import HookedModel
from hyperinterp.text import encoded
from hyperinterp.ticks import Tick
from probes import surprisal

UNFINISHED = "\ufffd"
"""What stands in decoded text for a character that is not complete."""

Row = tuple[int, ...]


class Reading(NamedTuple):
    """One text after one prompt, as the reference reads it.

    Attributes:
        prompt: ids of the prompt.
        ids: ids of the text.
        nats: surprisal of each id of the text, `[n]`.
        last: final norm's output at the last id, `[d_model]`; None where it was not kept.
    """

    prompt: Row
    ids: Row
    nats: Float[Tensor, " n"]
    last: Float[Tensor, " d_model"] | None


@dataclass(frozen=True, eq=False)
class Reference:
    """A model that reads what others wrote.

    Attributes:
        model: the model.
        tokenizer: of the ids that it is given.
        batch_size: rows per forward pass.
        processes: the processes that share the reading.
        ids: the ids that it is given are below this; 0 where that is not known.
    """

    model: HookedModel
    tokenizer: PreTrainedTokenizerBase
    batch_size: int = 8
    processes: Processes = ALONE
    ids: int = 0

    @property
    def reads_ids(self) -> bool:
        """Return whether the ids mean the same to the model; else it is given the text."""
        own = self.model.tokenizer
        if own is None or self.model.vocab_size < self.ids:
            return own is None
        return own is self.tokenizer or own.get_vocab() == self.tokenizer.get_vocab()

    def rows(self, pairs: Sequence[tuple[Row, Row]]) -> list[tuple[Row, Row]]:
        """Return prompts and texts in the model's own ids.

        Prompt and text are decoded and encoded as one text. Where its tokens begin to differ from
        those of the prompt alone, the text begins: a token across the border belongs to the text.

        Args:
            pairs: ids of each prompt and of the text after it.
        """
        if self.reads_ids:
            return list(pairs)
        own = self.model.tokenizer
        assert own is not None
        wholes = encoded(own, [self._text((*prompt, *ids)) for prompt, ids in pairs])
        opening = {prompt: self._text(prompt) for prompt, _ in pairs}
        alone = dict(zip(opening, encoded(own, list(opening.values())), strict=True))
        found = []
        for (prompt, _), whole in zip(pairs, wholes, strict=True):
            start = _common(whole, alone[prompt])
            found.append((tuple(whole[:start]), tuple(whole[start:])))
        return found

    def bytes_of(self, ids: Row) -> int:
        """Return the length in UTF-8 of the text of ids, whatever its tokens."""
        return len(self._text(ids).encode("utf-8", "replace"))

    def _text(self, ids: Row) -> str:
        """The text of ids, without marks and without a character that was cut."""
        text = self.tokenizer.decode(
            list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return str(text).rstrip(UNFINISHED)

    def read(
        self, pairs: Sequence[tuple[Row, Row]], *, keep_last: bool = False, tick: Tick | None = None
    ) -> list[Reading]:
        """Read every text after its prompt; equal pairs are read once, and so are equal prompts.

        A text after no prompt at all begins with its second token.

        Args:
            pairs: ids of each prompt and of the text after it.
            keep_last: keep the final norm's output at the last id of every text.
            tick: told of the number of different texts read.

        Raises:
            InputRefused: a text is longer than the model's table of positions.
            NumericalFault: a logit is NaN or infinite; names the model.
            UnsupportedModel: the model rules token ids out by minus infinity.
        """
        owned = [_begun(pair) for pair in self.rows(pairs)]
        distinct = list(dict.fromkeys(owned))
        longest = max((len(prompt) + len(ids) for prompt, ids in distinct), default=0)
        self.model.check_length(longest, "new_tokens, or a shorter prompt")
        batches = self._batches(distinct)
        keys = PromptKeys(self.model)
        mine: dict[int, tuple[Tensor, Tensor | None]] = {}

        def weight(numbers: Sequence[int]) -> int:
            return sum(len(distinct[number][1]) for number in numbers)

        for numbers in self.processes.dealt(batches, weight):
            mine |= self._batch(keys, {k: distinct[k] for k in numbers}, keep_last)
            if tick is not None:
                tick(len(numbers) * self.processes.size)
        every = self.processes.collected(mine)
        nothing = (torch.zeros(0, dtype=torch.float64), None)
        place = {pair: every.get(number, nothing) for number, pair in enumerate(distinct)}
        return [Reading(*pair, *place[pair]) for pair in owned]

    def _batches(self, pairs: Sequence[tuple[Row, Row]]) -> list[list[int]]:
        """Numbers of pairs whose prompts are equally long, and whose texts are."""
        groups: dict[tuple[int, int], list[int]] = defaultdict(list)
        for number, (prompt, ids) in enumerate(pairs):
            if prompt:
                groups[len(prompt), len(ids)].append(number)
        size = self.batch_size
        return [
            numbers[start : start + size]
            for _, numbers in sorted(groups.items(), reverse=True)
            for start in range(0, len(numbers), size)
        ]

    def _batch(
        self, keys: PromptKeys, pairs: Mapping[int, tuple[Row, Row]], keep_last: bool
    ) -> Mapping[int, tuple[Tensor, Tensor | None]]:
        prompts, texts = zip(*pairs.values(), strict=True)
        ids = torch.tensor(texts, dtype=torch.long)
        hidden = keys.run_after(prompts, ids)
        flat, target = hidden[:, :-1].flatten(0, 1), ids.flatten()
        parts = [
            surprisal(logits, target[where].to(logits.device)).cpu()
            for where, logits in logit_chunks(self.model, flat, CHUNK)
        ]
        nats = torch.cat(parts) if parts else torch.zeros(0, dtype=torch.float64)
        last = hidden[:, -1].float().cpu() if keep_last else [None] * len(pairs)
        return {
            number: (own, vector)
            for number, own, vector in zip(
                pairs, nats.split([ids.shape[1]] * len(ids)), last, strict=True
            )
        }


def _common(first: Sequence[int], second: Sequence[int]) -> int:
    """Return the length of the common prefix of two rows of ids."""
    count = 0
    for one, other in zip(first, second, strict=False):
        if one != other:
            break
        count += 1
    return count


def _begun(pair: tuple[Row, Row]) -> tuple[Row, Row]:
    """The pair, its first id in the prompt where the prompt is empty: nothing predicts it."""
    prompt, ids = pair
    return pair if prompt else (ids[:1], ids[1:])
