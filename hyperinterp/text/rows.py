"""Token rows of passages, grouped by equal length.

Rows of one batch always have the same number of tokens, so no padding is ever needed and no
figure can depend on it.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from hyperinterp.errors import InputRefused
from hyperinterp.text.chat import PLAIN, Chat
from hyperinterp.text.conversing import Conversed, prompted, whole
from hyperinterp.text.passages import Passages

_WHOLE: dict[str, Any] = {"truncation": False, "verbose": False}


@dataclass(frozen=True)
class TokenRows:
    """Token ids of passages, cut to at most `length`, rows too short left out.

    Attributes:
        rows: token ids, one tuple per kept passage.
        index: position of each row in the passages it came from.
        length: the largest number of tokens kept.
        short: how many passages had fewer than `min_length` tokens.
        prompts: of each row, the tokens before the answer of a conversation, 0 for a plain text;
            empty where all are plain.
        begins: how many texts began with the begin token themselves, and are read with one.
        conversations: how many rows were put into a chat template.
        long: how many conversations were left out, because cutting them would cut the template.
    """

    rows: tuple[tuple[int, ...], ...]
    index: tuple[int, ...]
    length: int
    short: int
    prompts: tuple[int, ...] = ()
    begins: int = 0
    conversations: int = 0
    long: int = 0

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def n_tokens(self) -> int:
        """Number of token ids in all rows."""
        return sum(len(row) for row in self.rows)

    def chosen(self, numbers: Iterable[int]) -> "TokenRows":
        """The rows with these numbers, which may repeat."""
        picked = tuple(numbers)
        return replace(
            self,
            rows=tuple(self.rows[number] for number in picked),
            index=tuple(self.index[number] for number in picked),
            prompts=tuple(self.prompts[number] for number in picked) if self.prompts else (),
        )

    def openings(self, length: int) -> "TokenRows":
        """Return the prompts: the first tokens of the rows.

        That is the first `length` tokens of a plain text, and all of a conversation up to its
        answer.
        """
        ends = self.prompts or (0,) * len(self.rows)
        rows = tuple(row[: end or length] for row, end in zip(self.rows, ends, strict=True))
        return replace(self, rows=rows, length=max(map(len, rows), default=0))

    def batches(
        self, size: int, numbers: Iterable[int] | None = None
    ) -> Iterator[tuple[list[int], Int[Tensor, "batch position"]]]:
        """Batches of at most `size` rows of equal length, as (row numbers, ids).

        Args:
            size: most rows of a batch.
            numbers: of the rows that are taken; all by default.
        """
        by_length: dict[int, list[int]] = defaultdict(list)
        for number in range(len(self.rows)) if numbers is None else numbers:
            by_length[len(self.rows[number])].append(number)
        for length in sorted(by_length, reverse=True):
            numbers = by_length[length]
            for start in range(0, len(numbers), size):
                chosen = numbers[start : start + size]
                yield chosen, torch.tensor([self.rows[number] for number in chosen])


def encoded(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[list[int]]:
    """Token ids of texts that something can follow: without the end that a tokenizer appends.

    Its begin token stays, once, also where the text begins with it; so does an end token that is
    in the text.

    Args:
        tokenizer: the model's tokenizer.
        texts: one or more, taken whole.
    """
    return [ids for ids, _ in _once(tokenizer, _open(tokenizer, texts))]


def _open(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[list[int]]:
    """Ids without the end that the tokenizer appends; what begins them may stand there twice."""
    if not texts:
        return []
    mask = tokenizer("a", return_special_tokens_mask=True, **_WHOLE)["special_tokens_mask"]
    if not mask or not mask[-1]:
        return tokenizer(list(texts), **_WHOLE)["input_ids"]
    found = tokenizer(list(texts), return_special_tokens_mask=True, **_WHOLE)
    pairs = zip(found["input_ids"], found["special_tokens_mask"], strict=True)
    return [_without_end(tokenizer, ids, mask) for ids, mask in pairs]


def _without_end(tokenizer: PreTrainedTokenizerBase, ids: list[int], added: list[int]) -> list[int]:
    """Ids up to the last one that the text itself has; `added` marks those of the tokenizer."""
    if len(added) != len(ids):  # a tokenizer that does not know its own
        return ids
    if not all(added):
        return ids[: len(added) - added[::-1].index(0)]
    begin, end = tokenizer.bos_token_id, tokenizer.eos_token_id
    return [token for token in ids if token == begin or token != end]


def _once(
    tokenizer: PreTrainedTokenizerBase, found: Sequence[Sequence[int]]
) -> Iterator[tuple[list[int], bool]]:
    """Ids with what begins a text at most once, and whether there was more of it."""
    begin = _begin(tokenizer) if found else []
    width = len(begin)
    for ids in map(list, found):
        kept = ids
        while width and kept[:width] == begin == kept[width : 2 * width]:
            kept = kept[width:]
        yield kept, len(kept) < len(ids)


def _begin(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """The ids that a tokenizer puts before a text; where it puts none, its begin token."""
    with_them: Any = tokenizer("a", **_WHOLE)["input_ids"]
    alone: Any = tokenizer("a", add_special_tokens=False, **_WHOLE)["input_ids"]
    for start in range(1, len(with_them) - len(alone) + 1):
        if with_them[start : start + len(alone)] == alone:
            return list(with_them[:start])
    begin: Any = tokenizer.bos_token_id
    return [] if begin is None else [begin]


def tokenise(
    tokenizer: PreTrainedTokenizerBase,
    passages: Passages,
    length: int,
    *,
    min_length: int = 2,
    open_end: bool = False,
    chat: Chat = PLAIN,
) -> TokenRows:
    """Token ids with the tokenizer's own special tokens, cut to the first `length`.

    Args:
        tokenizer: the model's tokenizer.
        passages: texts and conversations.
        length: tokens kept per passage.
        min_length: passages with fewer tokens are left out and counted.
        open_end: leave out an end token that the tokenizer appends, and cut conversations so that
            the opening of the answer is kept, as whatever is continued needs it; training keeps
            the end, since that is how a model learns to end, and cuts at the end.
        chat: the template for conversations, and whether plain texts get it too.

    Raises:
        InputRefused: no passage has `min_length` tokens, or a conversation cannot be written.
    """
    found = token_rows(
        tokenizer, passages, length, min_length=min_length, open_end=open_end, chat=chat
    )
    if not found.rows:
        long = f"; {found.long} conversations do not fit into {length}" if found.long else ""
        raise InputRefused(
            f"{passages.origin}: expected passages of at least {min_length} tokens, found none "
            f"among {len(passages)}{long}; give longer texts, one passage each"
        )
    return found


def token_rows(
    tokenizer: PreTrainedTokenizerBase,
    passages: Passages,
    length: int,
    *,
    min_length: int,
    open_end: bool,
    chat: Chat,
) -> TokenRows:
    """Token ids as in `tokenise`; no rows where no passage is long enough."""
    turns = [chat.turns(item, passages.origin) for item in passages]
    spoken = [(item, said) for item, said in zip(passages, turns, strict=True) if said]
    texts = [item.text for item, said in zip(passages, turns, strict=True) if not said]
    if open_end:
        plain = _open(tokenizer, texts)
        made = iter(prompted(tokenizer, chat, spoken, length))
    else:
        plain = tokenizer(texts, **_WHOLE)["input_ids"] if texts else []
        made = iter([Conversed(tuple(ids), 0) for ids in whole(tokenizer, chat, spoken)])
    once, counts = _once(tokenizer, plain), Counter[str]()
    rows, index, prompts = [], [], []
    for number, said in enumerate(turns):
        conversed = next(made) if said else None
        if said and conversed is None:
            counts["long"] += 1
            continue
        ids, doubled = (conversed.ids, False) if conversed is not None else next(once)
        if len(ids) < min_length:
            counts["short"] += 1
            continue
        counts["begins"] += doubled
        counts["conversations"] += bool(said)
        rows.append(tuple(ids[:length]))
        index.append(number)
        prompts.append(0 if conversed is None else conversed.prompt)
    return TokenRows(
        tuple(rows), tuple(index), length, counts["short"],
        tuple(prompts) if any(prompts) else (), counts["begins"], counts["conversations"],
        counts["long"],
    )  # fmt: skip


def shared_ngrams(first: Sequence[Sequence[int]], second: Sequence[Sequence[int]], n: int) -> int:
    """Count the rows of `second` that contain an n-gram of token ids that occurs in `first`."""
    known = {tuple(row[start : start + n]) for row in first for start in range(len(row) - n + 1)}
    return sum(
        any(tuple(row[start : start + n]) in known for start in range(len(row) - n + 1))
        for row in second
    )


def split_half(count: int, seed: int) -> tuple[list[int], list[int]]:
    """Two disjoint random halves of `range(count)`, each in ascending order."""
    order = list(range(count))
    random.Random(seed).shuffle(order)
    middle = (count + 1) // 2
    return sorted(order[:middle]), sorted(order[middle:])
