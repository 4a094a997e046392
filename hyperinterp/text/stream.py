"""A text of any length, read again at every pass: memory does not grow with it."""

import hashlib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import torch
from jaxtyping import Int
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from hyperinterp.errors import InputRefused
from hyperinterp.text.passages import Sieve
from hyperinterp.text.reading import open_rows
from hyperinterp.text.rows import TokenRows, encoded

BLOCK = 512  # passages tokenised together; rows of equal length within a block share a batch


@dataclass(frozen=True)
class Corpus:
    """A file of passages, or a data set, that may be larger than memory.

    Attributes:
        path: anything that `read_passages` takes; `.json` is read whole, all else in pieces.
        max_tokens: stop before the passage that would pass this many tokens; None for all.
        split: as in `read_passages`.
        column: as in `read_passages`.

    Raises:
        InputRefused: `max_tokens` is below 1.
    """

    path: str | Path
    max_tokens: int | None = None
    split: str | None = None
    column: str = "text"

    def __post_init__(self) -> None:
        if self.max_tokens is not None and self.max_tokens < 1:
            raise InputRefused(f"max tokens: expected at least 1, found {self.max_tokens}")


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
        sha256: digest of the token ids in order, hexadecimal.
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

    def __len__(self) -> int:
        return self.n_rows

    def batches(self, size: int) -> Iterator[tuple[list[int], Int[Tensor, "batch position"]]]:
        """Batches of at most `size` rows of equal length, as (row numbers, ids); see `TokenRows`.

        Raises:
            InputRefused: the corpus cannot be read, or is no longer what it was.
        """
        first = 0
        for rows in self._blocks(_Counts()):
            block = TokenRows(tuple(rows), tuple(range(len(rows))), self.length, 0)
            for numbers, ids in block.batches(size):
                yield [first + number for number in numbers], ids
            first += len(rows)
        if self.sha256 and first != self.n_rows:
            raise InputRefused(
                f"{self.corpus.path}: expected the {self.n_rows} passages of the first reading, "
                f"found {first}: the file has changed"
            )

    def _blocks(self, counts: "_Counts") -> Iterator[list[tuple[int, ...]]]:
        pairs, origin = open_rows(self.corpus.path, self.corpus.split, self.corpus.column)
        with closing(pairs):  # a limit of tokens leaves the file half read
            yield from self._tokenised(Sieve(pairs, origin), counts)

    def _tokenised(self, sieve: Sieve, counts: "_Counts") -> Iterator[list[tuple[int, ...]]]:
        passages = iter(sieve)
        limit = self.corpus.max_tokens
        while texts := [item.text for item in islice(passages, BLOCK)]:
            rows = []
            for ids in encoded(self.tokenizer, texts):
                row = tuple(ids[: self.length])
                if len(row) < self.min_length:
                    counts.short += 1
                    continue
                if limit is not None and counts.tokens + len(row) > limit:
                    limit = counts.tokens  # nothing more fits
                    break
                counts.tokens += len(row)
                rows.append(row)
            counts.duplicates, counts.empty = sieve.duplicates, sieve.empty
            yield rows
            if limit == counts.tokens:
                return


@dataclass
class _Counts:
    tokens: int = 0
    short: int = 0
    duplicates: int = 0
    empty: int = 0


def open_stream(
    corpus: Corpus, tokenizer: PreTrainedTokenizerBase, length: int, *, min_length: int = 4
) -> TokenStream:
    """Read a corpus once and count what it holds.

    Args:
        corpus: the text.
        tokenizer: the model's tokenizer.
        length: tokens kept per passage.
        min_length: passages with fewer tokens are left out and counted.

    Raises:
        InputRefused: the corpus cannot be read, or holds no passage that fits.
    """
    counts, rows, digest = _Counts(), 0, hashlib.sha256()
    for block in TokenStream(corpus, tokenizer, length, min_length)._blocks(counts):
        rows += len(block)
        for row in block:
            digest.update(torch.tensor(row, dtype=torch.int64).numpy().tobytes() + b"\n")
    if rows < 2:
        raise InputRefused(
            f"{corpus.path}: expected at least 2 passages of {min_length} tokens or more"
            + (f" within {corpus.max_tokens} tokens" if corpus.max_tokens else "")
            + f", found {rows}"
        )
    return TokenStream(
        corpus,
        tokenizer,
        length,
        min_length,
        n_rows=rows,
        n_tokens=counts.tokens,
        duplicates=counts.duplicates,
        empty=counts.empty,
        short=counts.short,
        sha256=digest.hexdigest(),
    )
