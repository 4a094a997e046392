"""A table of token frequencies that the user gives."""

import csv
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hyperinterp.errors import InputRefused

COLUMNS = ("token_id", "count")
MAX_COUNT = 2**53


@dataclass(frozen=True)
class Frequencies:
    """The number of times that each token id occurs in some corpus.

    Attributes:
        counts: occurrences by token id; ids that are not named count 0.
        origin: where they came from, in words.
    """

    counts: dict[int, int]
    origin: str = "the table given"

    def of_size(self, vocabulary: int, rows: int | None = None) -> list[int]:
        """One count per token id below `vocabulary`.

        Args:
            vocabulary: how many ids are compared.
            rows: how many ids a model has, where some of them are not compared; as many by
                default. Counts of ids between the two are left out.

        Raises:
            InputRefused: the table names an id that no model has.
        """
        largest, known = max(self.counts, default=0), max(vocabulary, rows or 0)
        if largest >= known:
            raise InputRefused(
                f"{self.origin}: expected token ids below {known}, found {largest}; "
                "make the table with the tokenizer of these models"
            )
        return [self.counts.get(token, 0) for token in range(vocabulary)]


def read_frequencies(path: str | Path) -> Frequencies:
    """Read a frequency table.

    Args:
        path: `.json`, a list of counts (one per token id) or an object from token id to count;
            `.csv` or `.tsv` with the columns `token_id` and `count`.

    Raises:
        InputRefused: no such file, not UTF-8, another form, an id twice, or a count that is not
            a whole number of at least 0.
    """
    path = Path(path)
    readers = {".json": _json, ".csv": _csv, ".tsv": _csv}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise InputRefused(
            f"{path}: expected one of {', '.join(readers)}, found {path.suffix or 'no suffix'}"
        )
    if not path.is_file():
        raise InputRefused(
            f"{path}: expected a frequency table, found no file there; correct --frequencies"
        )
    counts: dict[int, int] = {}
    try:
        for place, token, count in reader(path):
            token, count = _whole(path, place, token), _whole(path, place, count)
            if token in counts:
                raise InputRefused(
                    f"{path}: expected each token id once, found {token} twice; add up its counts"
                )
            counts[token] = count
    except UnicodeDecodeError as error:
        raise InputRefused(
            f"{path}: expected UTF-8 text, found byte {error.start} that is not; save it as UTF-8"
        ) from error
    if not any(counts.values()):
        raise InputRefused(f"{path}: expected a count above 0, found none; use another table")
    return Frequencies(counts, str(path))


def _json(path: Path) -> Iterable[tuple[str, Any, Any]]:
    try:
        found = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:  # a ValueError also for endless numbers
        raise InputRefused(
            f"{path}: expected JSON, found {error}; write it with json.dump"
        ) from error
    if isinstance(found, list):
        return [(f"entry {index}", index, count) for index, count in enumerate(found)]
    if isinstance(found, dict):
        return [(f"token {token}", token, count) for token, count in found.items()]
    raise InputRefused(
        f"{path}: expected a JSON list or object of counts, found {type(found).__name__}; write "
        "[count, ...] or {token id: count}"
    )


def _csv(path: Path) -> Iterable[tuple[str, Any, Any]]:
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    with path.open(encoding="utf-8-sig", newline="") as stream:
        try:
            rows = csv.DictReader(stream, delimiter=delimiter)
            missing = set(COLUMNS) - set(rows.fieldnames or ())
            if missing:
                raise InputRefused(
                    f"{path}: expected the columns {' and '.join(COLUMNS)}, "
                    f"found {rows.fieldnames or 'none'}; name them in the first line"
                )
            return [(f"row {number}", row[COLUMNS[0]], row[COLUMNS[1]])
                    for number, row in enumerate(rows, 1)]  # fmt: skip
        except csv.Error as error:
            raise InputRefused(
                f"{path}: expected CSV, found {error}; write it with csv.writer"
            ) from error


def _whole(path: Path, place: str, value: Any) -> int:
    number = -1
    if isinstance(value, int) and not isinstance(value, bool):
        number = value
    elif isinstance(value, str) and value.strip().isascii() and value.strip().isdigit():
        number = int(value.strip()[:20])
    if not 0 <= number <= MAX_COUNT:
        raise InputRefused(
            f"{path}: {place}: expected a whole number of at least 0, found {value!r:.80}; give "
            "token ids and counts of up to 2^53"
        )
    return number
