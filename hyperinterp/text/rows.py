"""Token rows of passages, grouped by equal length.

Rows of one batch always have the same number of tokens, so no padding is ever needed and no
figure can depend on it.
"""

import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from hyperinterp.errors import InputRefused
from hyperinterp.text.passages import Passages


@dataclass(frozen=True)
class TokenRows:
    """Token ids of passages, cut to at most `length`, rows too short left out.

    Attributes:
        rows: token ids, one tuple per kept passage.
        index: position of each row in the passages it came from.
        length: the largest number of tokens kept.
        short: how many passages had fewer than `min_length` tokens.
    """

    rows: tuple[tuple[int, ...], ...]
    index: tuple[int, ...]
    length: int
    short: int

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
        )

    def batches(self, size: int) -> Iterator[tuple[list[int], Int[Tensor, "batch position"]]]:
        """Batches of at most `size` rows of equal length, as (row numbers, ids)."""
        by_length: dict[int, list[int]] = defaultdict(list)
        for number, row in enumerate(self.rows):
            by_length[len(row)].append(number)
        for length in sorted(by_length, reverse=True):
            numbers = by_length[length]
            for start in range(0, len(numbers), size):
                chosen = numbers[start : start + size]
                yield chosen, torch.tensor([self.rows[number] for number in chosen])


def encoded(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[list[int]]:
    """Token ids of texts that something can follow: without the end that a tokenizer appends.

    Its begin token stays, and so does an end token that is in the text.

    Args:
        tokenizer: the model's tokenizer.
        texts: one or more, taken whole.
    """
    if not texts:
        return []
    asked: dict[str, Any] = {"truncation": False, "verbose": False}
    mask = tokenizer("a", return_special_tokens_mask=True, **asked)["special_tokens_mask"]
    if not mask or not mask[-1]:
        return tokenizer(list(texts), **asked)["input_ids"]
    found = tokenizer(list(texts), return_special_tokens_mask=True, **asked)
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


def tokenise(
    tokenizer: PreTrainedTokenizerBase,
    passages: Passages,
    length: int,
    *,
    min_length: int = 2,
    open_end: bool = False,
) -> TokenRows:
    """Token ids with the tokenizer's own special tokens, cut to the first `length`.

    Args:
        tokenizer: the model's tokenizer.
        passages: texts.
        length: tokens kept per passage.
        min_length: passages with fewer tokens are left out and counted.
        open_end: leave out an end token that the tokenizer appends, as whatever is continued
            needs it; training keeps it, since that is how a model learns to end.

    Raises:
        InputRefused: no passage has `min_length` tokens.
    """
    texts = passages.texts
    if open_end:
        found = encoded(tokenizer, texts)
    else:
        found = tokenizer(texts, truncation=False, verbose=False)["input_ids"] if texts else []
    rows, index, short = [], [], 0
    for number, ids in enumerate(found):
        if len(ids) < min_length:
            short += 1
            continue
        rows.append(tuple(ids[:length]))
        index.append(number)
    if not rows:
        raise InputRefused(
            f"{passages.origin}: expected passages of at least {min_length} tokens, found none "
            f"among {len(passages)}"
        )
    return TokenRows(tuple(rows), tuple(index), length, short)


def shared_ngrams(first: Sequence[Sequence[int]], second: Sequence[Sequence[int]], n: int) -> int:
    """How many rows of `second` contain an n-gram of token ids that occurs in `first`."""
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
