"""Passages and prompts: read, checked, tokenised, and grouped by equal length.

Rows of one batch always have the same number of tokens, so no padding is ever needed and no
figure can depend on it.
"""

import csv
import hashlib
import json
import random
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import torch
from jaxtyping import Int
from torch import Tensor
from transformers import PreTrainedTokenizerBase

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


def read_passages(path: str | Path, *, split: str | None = None, column: str = "text") -> Passages:
    """Read texts from a file.

    Args:
        path: `.jsonl` (objects with `text`, optionally `id` and `split`; or plain strings),
            `.json` (a list of the same), `.txt` (one text per line), `.csv` or `.tsv`
            (column `text`), `.parquet` (column `text`; needs the `data` extra).
        split: keep only the rows whose `split` equals this.
        column: name of the text field.

    Raises:
        InputRefused: no such file, not UTF-8, not of the stated form, or empty.
    """
    path = Path(path)
    if not path.is_file():
        raise InputRefused(f"{path}: expected a file of passages, found nothing there")
    readers = {
        ".jsonl": _rows_jsonl,
        ".json": _rows_json,
        ".txt": _rows_txt,
        ".csv": _rows_csv,
        ".tsv": _rows_csv,
        ".parquet": _rows_parquet,
    }
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise InputRefused(
            f"{path}: expected one of {', '.join(readers)}, found {path.suffix or 'no suffix'}"
        )
    try:
        rows = list(reader(path))
    except UnicodeDecodeError as error:
        raise InputRefused(
            f"{path}: expected UTF-8 text, found byte {error.start} that is not"
        ) from error
    return collect(_chosen(rows, path, split, column), str(path))


def _chosen(
    rows: Sequence[object], path: Path, split: str | None, column: str
) -> Iterator[tuple[str, str]]:
    for number, row in enumerate(rows, 1):
        if isinstance(row, str):
            yield str(number), row
            continue
        if not isinstance(row, dict) or not isinstance(row.get(column), str):
            found = sorted(map(str, row)) if isinstance(row, dict) else type(row).__name__
            raise InputRefused(
                f"{path}: row {number}: expected a string field {column!r}, found {found}"
            )
        if split is None or row.get("split") == split:
            yield str(row.get("id", number)), row[column]


def _parsed(path: Path, text: str, where: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:  # a ValueError also for endless numbers
        raise InputRefused(f"{path}: {where}: expected JSON, found {error}") from error


def _rows_jsonl(path: Path) -> Iterator[object]:
    with path.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield _parsed(path, line, f"line {number}")


def _rows_json(path: Path) -> list[object]:
    rows = _parsed(path, path.read_text(encoding="utf-8-sig"), "file")
    if not isinstance(rows, list):
        raise InputRefused(f"{path}: expected a JSON list, found {type(rows).__name__}")
    return rows


def _rows_txt(path: Path) -> list[object]:
    return list(path.read_text(encoding="utf-8-sig").splitlines())


def _rows_csv(path: Path) -> list[object]:
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    with path.open(encoding="utf-8-sig", newline="") as stream:
        try:
            return list(csv.DictReader(stream, delimiter=delimiter))
        except csv.Error as error:
            raise InputRefused(f"{path}: expected CSV, found {error}") from error


def _rows_parquet(path: Path) -> list[object]:
    try:
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise InputRefused(
            f"{path}: reading parquet needs pyarrow: pip install 'hyperinterp[data]'"
        ) from error
    try:
        return parquet.read_table(path).to_pylist()
    except (OSError, ValueError) as error:
        raise InputRefused(f"{path}: expected a parquet file, found {error}") from error


def read_prompts(path: str | Path) -> Passages:
    """Held-out prompt passages from a file; see `read_passages` for the formats."""
    return read_passages(path)


def builtin_passages(split: str) -> Passages:
    """The fiction that ships with hyperinterp.

    Args:
        split: "train" (96 passages) or "heldout" (64 prompt passages).
    """
    packaged = Path(str(resources.files("hyperinterp"))) / "assets" / "passages.jsonl"
    checkout = Path(__file__).resolve().parent.parent / "assets" / "passages.jsonl"
    path = packaged if packaged.is_file() else checkout
    found = read_passages(path, split=split)
    return Passages(found.items, f"built-in fiction, split {split}")


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


def tokenise(
    tokenizer: PreTrainedTokenizerBase,
    passages: Passages,
    length: int,
    *,
    min_length: int = 2,
) -> TokenRows:
    """Token ids with the tokenizer's own special tokens, cut to the first `length`.

    Args:
        tokenizer: the model's tokenizer.
        passages: texts.
        length: tokens kept per passage.
        min_length: passages with fewer tokens are left out and counted.

    Raises:
        InputRefused: no passage has `min_length` tokens.
    """
    encoded = tokenizer(passages.texts, truncation=False, verbose=False)["input_ids"]
    rows, index, short = [], [], 0
    for number, ids in enumerate(encoded):
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
