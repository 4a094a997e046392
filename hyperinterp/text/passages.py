"""Passages as read: texts with identifiers, what was left out, and a digest."""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from hyperinterp.errors import InputRefused

MAX_TEXT_BYTES = 10_000_000
_SURROGATE = re.compile("[\ud800-\udfff]")

Turn = tuple[str, str]
"""Role ("system", "user", "assistant", ...) and content of one message."""


@dataclass(frozen=True)
class Passage:
    """One text with its identifier.

    Attributes:
        id: names the passage in reports.
        text: the text; of a conversation, what was said, without roles.
        turns: the messages of a conversation; none for a plain text.
        plain: `text` may be read as it is; False where only a chat template makes it one text.
    """

    id: str
    text: str
    turns: tuple[Turn, ...] = ()
    plain: bool = True


@dataclass(frozen=True)
class Passages:
    """Texts as read, with what was left out and why.

    Attributes:
        items: the passages, in the order of the file.
        origin: where they came from, in words.
        duplicates: how many exact repetitions were left out (the first one is kept).
        empty: how many texts without any letter or digit were left out.
    """

    items: tuple[Passage, ...]
    origin: str
    duplicates: int = 0
    empty: int = 0

    @staticmethod
    def from_list(texts: Iterable[Any], origin: str = "texts in memory") -> "Passages":
        """Return the passages of texts in memory, numbered from 1 in their order.

        Args:
            texts: a string for every passage; `as_passages` takes rows, tables and data sets.
            origin: where they come from, in words.

        Raises:
            InputRefused: one of them is no string, or none is worth reading.
        """
        given = [texts] if isinstance(texts, str) else list(texts)
        wrong = next((item for item in given if not isinstance(item, str)), None)
        if wrong is not None or isinstance(texts, str):
            found = type(texts if wrong is None else wrong).__name__
            advice = "give a list of strings, or call hyperinterp.as_passages"
            raise InputRefused(f"texts: expected a list of strings, found {found}; {advice}")
        numbered = enumerate(given, 1)
        return collect((Passage(str(number), text) for number, text in numbered), origin)

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Passage]:
        return iter(self.items)

    @property
    def texts(self) -> list[str]:
        """The texts alone."""
        return [item.text for item in self.items]

    @property
    def sha256(self) -> str:
        """Digest of the ids and texts (or messages) in order, hexadecimal."""
        digest = hashlib.sha256()
        for item in self.items:
            told = [item.id, item.text, *([item.turns] if item.turns else [])]
            digest.update(json.dumps(told).encode())
        return digest.hexdigest()

    def head(self, count: int | None) -> "Passages":
        """The first `count` passages; all of them when `count` is None."""
        if count is None or count >= len(self.items):
            return self
        if count < 1:
            raise InputRefused(
                f"number of passages: expected at least 1, found {count}; give another"
            )
        return replace(self, items=self.items[:count], origin=f"{self.origin}, first {count}")


class Sieve:
    """Passages worth reading: empty texts and exact repetitions are left out and counted.

    Iterating once yields the passages; memory is 16 bytes and a set entry per text.

    Attributes:
        duplicates: repetitions left out so far.
        empty: texts without a letter or digit left out so far.

    Raises (while iterating):
        InputRefused: a text is larger than 10 MB or holds half a surrogate pair.
    """

    def __init__(self, passages: Iterable[Passage], origin: str) -> None:
        self._passages = passages
        self._origin = origin
        self._seen: set[bytes] = set()
        self.duplicates = 0
        self.empty = 0

    def __iter__(self) -> Iterator[Passage]:
        for passage in self._passages:
            self._check(passage.id, passage.text)
            told = json.dumps(passage.turns) if passage.turns else passage.text
            digest = hashlib.blake2b(told.encode(), digest_size=16).digest()
            if not any(character.isalnum() for character in passage.text):
                self.empty += 1
            elif digest in self._seen:
                self.duplicates += 1
            else:
                self._seen.add(digest)
                yield passage

    def _check(self, identifier: str, text: str) -> None:
        if len(text) > MAX_TEXT_BYTES:
            raise InputRefused(
                f"{self._origin}: passage {identifier!r:.80}: expected at most {MAX_TEXT_BYTES} "
                f"characters, found {len(text)}; cut it into several passages"
            )
        if _SURROGATE.search(identifier) or _SURROGATE.search(text):
            raise InputRefused(
                f"{self._origin}: passage {identifier!r:.80}: expected Unicode text, found half a "
                "surrogate pair; write the text anew with errors='replace'"
            )

    def refuse_nothing(self, found: int) -> None:
        """Refuse a text of which nothing was left.

        Raises:
            InputRefused: `found` is 0.
        """
        if not found:
            raise InputRefused(
                f"{self._origin}: expected at least one text, found none ({self.empty} without "
                "any letter); give texts, or name their field with --column"
            )


def collect(passages: Iterable[Passage], origin: str, limit: int | None = None) -> Passages:
    """Keep the passages that are worth reading, at most the first `limit`; see `Sieve`.

    Raises:
        InputRefused: nothing is left, a text is larger than 10 MB or holds half a surrogate pair.
    """
    if limit is not None and limit < 1:
        raise InputRefused(f"number of passages: expected at least 1, found {limit}; give another")
    sieve = Sieve(passages, origin)
    items = tuple(islice(sieve, limit))
    sieve.refuse_nothing(len(items))
    return Passages(items, origin, sieve.duplicates, sieve.empty)
