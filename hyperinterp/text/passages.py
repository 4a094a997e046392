"""Passages as read: texts with identifiers, what was left out, and a digest."""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from hyperinterp.errors import InputRefused

MAX_TEXT_BYTES = 10_000_000
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Passage:
    """One text with its identifier."""

    id: str
    text: str


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
        """Digest of the ids and texts in order, hexadecimal."""
        digest = hashlib.sha256()
        for item in self.items:
            digest.update(json.dumps([item.id, item.text]).encode())
        return digest.hexdigest()

    def head(self, count: int | None) -> "Passages":
        """The first `count` passages; all of them when `count` is None."""
        if count is None or count >= len(self.items):
            return self
        if count < 1:
            raise InputRefused(f"number of passages: expected at least 1, found {count}")
        return Passages(
            self.items[:count], f"{self.origin}, first {count}", self.duplicates, self.empty
        )


def collect(pairs: Iterable[tuple[str, str]], origin: str) -> Passages:
    """Passages from (id, text) pairs: empty texts and exact repetitions are left out and counted.

    Raises:
        InputRefused: nothing is left, a text is larger than 10 MB or holds half a surrogate pair.
    """
    seen: set[str] = set()
    items: list[Passage] = []
    duplicates = empty = 0
    for identifier, text in pairs:
        if len(text) > MAX_TEXT_BYTES:
            raise InputRefused(
                f"{origin}: passage {identifier!r}: expected at most {MAX_TEXT_BYTES} characters, "
                f"found {len(text)}"
            )
        if _SURROGATE.search(identifier) or _SURROGATE.search(text):
            raise InputRefused(
                f"{origin}: passage {identifier!r}: expected Unicode text, found half a "
                "surrogate pair"
            )
        if not any(character.isalnum() for character in text):
            empty += 1
        elif text in seen:
            duplicates += 1
        else:
            seen.add(text)
            items.append(Passage(identifier, text))
    if not items:
        raise InputRefused(
            f"{origin}: expected at least one text, found none ({empty} without any letter)"
        )
    return Passages(tuple(items), origin, duplicates, empty)
