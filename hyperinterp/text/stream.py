"""A text of any length, read again at every pass: memory does not grow with it."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from hyperinterp.errors import InputRefused
from hyperinterp.text.chat import PLAIN, Chat
from hyperinterp.text.objects import is_name
from hyperinterp.text.passages import Passages, Sieve
from hyperinterp.text.reading import as_passages, open_rows
from hyperinterp.text.rows import TokenRows, token_rows

BLOCK = 512  # passages tokenised together; rows of equal length within a block share a batch


@dataclass(frozen=True)
class Corpus:
    """Passages that may be more than memory holds.

    Attributes:
        source: anything that `as_passages` takes and that can be read several times; one JSON
            document is read whole, all else in pieces.
        max_tokens: stop before the passage that would pass this many tokens; None for all.
        split: as in `read_passages`.
        column: as in `read_passages`.

    Raises:
        InputRefused: `max_tokens` is below 1.
    """

    source: Any
    max_tokens: int | None = None
    split: str | None = None
    column: str | None = None

    def __post_init__(self) -> None:
        if self.max_tokens is not None and self.max_tokens < 1:
            raise InputRefused(
                f"max tokens: expected at least 1, found {self.max_tokens}; raise it"
            )
        if isinstance(self.source, Iterator):  # it ends after one pass
            object.__setattr__(self, "source", as_passages(self.source, what="corpus"))

    def __str__(self) -> str:
        source = self.source
        return str(source) if is_name(source) else getattr(source, "origin", "corpus in memory")


def as_corpus(
    given: Any,
    max_tokens: int | None = None,
    *,
    split: str | None = None,
    column: str | None = None,
) -> Corpus:
    """Return the corpus of anything that texts come in; a `Corpus` comes back as it is."""
    return given if isinstance(given, Corpus) else Corpus(given, max_tokens, split, column)


@dataclass(frozen=True)
class TokenStream:
    """Token rows of a corpus, tokenised anew at every pass.

    Made by `open_stream`, which reads the corpus once to know its size.

    Attributes:
        corpus: where the text is.
        length: tokens kept of each passage.
        min_length: shorter passages are left out.
        n_rows: number of token rows.
        n_tokens: their token ids in all.
        duplicates: exact repetitions left out.
        empty: texts without a letter or digit left out.
        short: passages with fewer than `min_length` tokens left out.
        begins: texts that began with the begin token themselves, read with one.
        conversations: rows that were put into a chat template.
        long: conversations left out, because cutting them would cut the template.
        sha256: digest of the token ids in order, hexadecimal.
        digests: of the rows of every block, by which a change is seen before it is measured.
        largest: the largest token id.
    """

    corpus: Corpus
    tokenizer: PreTrainedTokenizerBase = field(repr=False)
    length: int
    min_length: int
    n_rows: int = 0
    n_tokens: int = 0
    duplicates: int = 0
    empty: int = 0
    short: int = 0
    sha256: str = ""
    chat: Chat = field(default=PLAIN, repr=False)
    begins: int = 0
    conversations: int = 0
    long: int = 0
    digests: tuple[bytes, ...] = field(default=(), repr=False)
    largest: int = 0

    def __len__(self) -> int:
        return self.n_rows

    def batches(self, size: int) -> Iterator[tuple[list[int], Int[Tensor, "batch position"]]]:
        """Batches of at most `size` rows of equal length, as (row numbers, ids); see `TokenRows`.

        Raises:
            InputRefused: the corpus cannot be read, or is no longer what it was.
        """
        first, number = 0, -1
        for number, rows in enumerate(self._blocks(Counter())):
            if number >= len(self.digests) or _digest(rows) != self.digests[number]:
                raise self._changed(f"other text after {first} passages")
            block = TokenRows(tuple(rows), tuple(range(len(rows))), self.length, 0)
            for numbers, ids in block.batches(size):
                yield [first + number for number in numbers], ids
            first += len(rows)
        if number + 1 < len(self.digests):
            raise self._changed(f"its end after {first} passages")

    def _changed(self, found: str) -> InputRefused:
        return InputRefused(
            f"{self.corpus}: expected the {self.n_rows} passages of the first reading, found "
            f"{found}: the file has changed; start again, on a copy that nobody writes to"
        )

    def _blocks(self, counts: Counter[str]) -> Iterator[list[tuple[int, ...]]]:
        corpus = self.corpus
        passages, origin = open_rows(corpus.source, corpus.split, corpus.column, "corpus")
        with closing(passages):  # a limit of tokens leaves the file half read
            yield from self._tokenised(Sieve(passages, origin), origin, counts)

    def _tokenised(
        self, sieve: Sieve, origin: str, counts: Counter[str]
    ) -> Iterator[list[tuple[int, ...]]]:
        passages = iter(sieve)
        limit = self.corpus.max_tokens
        while items := tuple(islice(passages, BLOCK)):
            block = token_rows(
                self.tokenizer, Passages(items, origin), self.length,
                min_length=self.min_length, open_end=True, chat=self.chat,
            )  # fmt: skip
            rows = []
            for row in block.rows:
                if limit is not None and counts["tokens"] + len(row) > limit:
                    limit = counts["tokens"]  # nothing more fits
                    break
                counts["tokens"] += len(row)
                rows.append(row)
            counts["duplicates"], counts["empty"] = sieve.duplicates, sieve.empty
            for name in ("short", "begins", "conversations", "long"):
                counts[name] += getattr(block, name)
            yield rows
            if limit == counts["tokens"]:
                return


def _digest(rows: list[tuple[int, ...]]) -> bytes:
    """Digest of the rows of one block, 16 bytes."""
    digest = hashlib.blake2b(digest_size=16)
    for row in rows:
        digest.update(_bytes(row))
    return digest.digest()


def _bytes(row: tuple[int, ...]) -> bytes:
    return torch.tensor(row, dtype=torch.int64).numpy().tobytes() + b"\n"


def open_stream(
    corpus: Corpus,
    tokenizer: PreTrainedTokenizerBase,
    length: int,
    *,
    min_length: int = 4,
    chat: Chat = PLAIN,
) -> TokenStream:
    """Read a corpus once and count what it holds.

    Args:
        corpus: the text.
        tokenizer: the model's tokenizer.
        length: tokens kept per passage.
        min_length: passages with fewer tokens are left out and counted.
        chat: the template for conversations, and whether plain texts get it too.

    Raises:
        InputRefused: the corpus cannot be read, or holds no passage that fits.
    """
    counts, rows, largest, whole, digests = Counter[str](), 0, 0, hashlib.sha256(), []
    opened = TokenStream(corpus, tokenizer, length, min_length, chat=chat)
    for block in opened._blocks(counts):
        rows += len(block)
        digests.append(_digest(block))
        for row in block:
            whole.update(_bytes(row))
            largest = max(largest, *row)
    if rows < 2:
        raise InputRefused(
            f"{corpus}: expected at least 2 passages of {min_length} tokens or more"
            + (f" within {corpus.max_tokens} tokens" if corpus.max_tokens else "")
            + f", found {rows}; give more texts, or leave out --corpus"
        )
    return replace(
        opened,
        n_rows=rows,
        n_tokens=counts["tokens"],
        duplicates=counts["duplicates"],
        empty=counts["empty"],
        short=counts["short"],
        begins=counts["begins"],
        conversations=counts["conversations"],
        long=counts["long"],
        sha256=whole.hexdigest(),
        digests=tuple(digests),
        largest=largest,
    )
