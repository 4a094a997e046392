"""The loop that writes batches of texts, one token of every text at a time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from hyperinterp.generation.choosing import Chooser
from hyperinterp.generation.inside import Inside
from hyperinterp.generation.keys import PromptKeys, Row
from hyperinterp.generation.stepping import Steps

_UNSEEN = 16
"""Steps between two looks at a device that works on its own."""


@dataclass(frozen=True)
class Batch:
    """Texts of one model that are written together.

    Attributes:
        keys: the model's prompts, read.
        rows: the prompt of every text, of one length.
        chooser: gives the tokens.
        new_tokens: most tokens written.
        stops: ids that end a text.
        inside: for which texts the model is another one.
    """

    keys: PromptKeys
    rows: Sequence[Row]
    chooser: Chooser
    new_tokens: int
    stops: Sequence[int]
    inside: Inside


class _Texts:
    """The ids of a batch, and which of its texts have ended."""

    def __init__(self, batch: Batch) -> None:
        model = batch.keys.model
        self._batch = batch
        self._start = self._end = len(batch.rows[0])
        ids = torch.zeros((len(batch.rows), self._start + batch.new_tokens), dtype=torch.long)
        ids[:, : self._start] = torch.tensor(batch.rows)
        self._ids = ids.to(model.home)
        self._stops = torch.tensor(batch.stops, dtype=torch.long, device=model.home)
        self._padding = next((token for token in batch.stops if token < model.vocab_size), 0)
        self._ended = torch.zeros(len(ids), dtype=torch.bool, device=model.home)

    @property
    def last(self) -> Int[Tensor, "row 1"]:
        """The last token of every text."""
        return self._ids[:, self._end - 1 : self._end]

    @property
    def written(self) -> list[list[int]]:
        """The new ids; after an end comes what means nothing."""
        return self._ids[:, self._start : self._end].tolist()

    def go_on(self, scores: Float[Tensor, "row vocab"], wanted: Tensor | None = None) -> None:
        """Put a token behind every text."""
        before = self._ids[:, : self._end]
        step = self._end - self._start
        tokens = self._batch.chooser.choose(step, before, scores, wanted)
        self._ids[:, self._end] = tokens.masked_fill(self._ended, self._padding)
        self._ended |= torch.isin(self._ids[:, self._end], self._stops)
        self._end += 1

    def all_ended(self) -> bool:
        """Return whether no text goes on; waits for the device."""
        self._batch.chooser.check()
        return bool(self._ended.all())


@torch.no_grad()
def written_together(
    batch: Batch,
    target: PromptKeys | None = None,
    guest: Batch | None = None,
    tell: Callable[[float], None] = lambda share: None,
) -> list[list[list[int]]]:
    """Return the ids that come after each prompt, until all texts have ended.

    Args:
        batch: what is written.
        target: the second model, whose entropies some rows match.
        guest: texts of the second model that it writes in the same steps, after prompts as long.
        tell: called with the share of the steps that is done.

    Returns:
        Per text of the batch its ids, then the same of the guest.

    Raises:
        NumericalFault: a logit is NaN or infinite; names the model.
        UnsupportedModel: rows match entropies, and a model rules token ids out by minus infinity.
    """
    texts, matched = _Texts(batch), batch.chooser.matched
    guests = None if guest is None else _Texts(guest)
    every = [texts] if guests is None else [texts, guests]
    own, other = Steps(batch.keys, batch.rows, batch.new_tokens, batch.inside), None
    along, inside = ([], Inside()) if guest is None else (list(guest.rows), guest.inside)
    if target is not None and matched:
        rows = [batch.rows[row] for row in matched] + along
        other = Steps(target, rows, batch.new_tokens, inside.behind(len(matched)))
    patience = 1 if batch.keys.model.home.type == "cpu" else _UNSEEN
    for step in range(1, batch.new_tokens + 1):
        wanted = None
        if other is not None:
            last = texts.last[batch.chooser.places].to(other.model.home)
            found = other.next(last if guests is None else torch.cat((last, guests.last)))
            wanted = found[: len(matched)].to(texts.last.device)
            if guests is not None:
                guests.go_on(found[len(matched) :])
        texts.go_on(own.next(texts.last), wanted)
        tell(step / batch.new_tokens)
        if step % patience and step < batch.new_tokens:
            continue
        ended = [item.all_ended() for item in every]
        if all(ended):
            break
    return [item.written for item in every]
