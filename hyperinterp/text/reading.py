"""Passages from files of several formats, from a data set, and those that ship with the package."""

import csv
import json
from collections.abc import Callable, Generator, Iterable, Iterator
from importlib import resources
from pathlib import Path

from hyperinterp.errors import InputRefused
from hyperinterp.text.hub import dataset_rows, is_dataset_id
from hyperinterp.text.passages import MAX_TEXT_BYTES, Passages, collect


def read_passages(
    path: str | Path, *, split: str | None = None, column: str = "text", limit: int | None = None
) -> Passages:
    """Read texts from a file or a data set.

    Args:
        path: `.jsonl` (objects with `text`, optionally `id` and `split`; or plain strings),
            `.json` (a list of the same), `.txt` (one text per line), `.csv` or `.tsv`,
            `.parquet` (needs the `data` extra), a data set directory, or, when nothing of that
            name exists, a Hugging Face data set id `owner/name` (both need the `data` extra).
        split: keep only the rows whose `split` equals this; the split of a data set.
        column: name of the text field.
        limit: stop reading after so many passages.

    Raises:
        InputRefused: no such file or data set, not UTF-8, not of the stated form, or empty.
    """
    pairs, origin = open_rows(path, split, column)
    return collect(pairs, origin, limit)


def open_rows(
    path: str | Path, split: str | None = None, column: str = "text"
) -> tuple[Generator[tuple[str, str], None, None], str]:
    """The (id, text) rows of a file or data set, read as they are asked for, and their origin.

    The arguments and errors are those of `read_passages`; errors of a row come with the row.
    """
    name, path = str(path), Path(path)
    if path.is_dir() or (not path.exists() and is_dataset_id(name)):
        rows = dataset_rows(name, split)
        origin = name if split is None else f"{name}, split {split}"
        return _chosen(rows, name, None, column), origin
    if not path.is_file():
        raise InputRefused(f"{path}: expected a file of passages, found nothing there")
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise InputRefused(
            f"{path}: expected one of {', '.join(_READERS)}, found {path.suffix or 'no suffix'}"
        )
    return _chosen(_decoded(path, reader), str(path), split, column), str(path)


def _decoded(path: Path, reader: Callable[[Path], Iterable[object]]) -> Iterator[object]:
    try:
        yield from reader(path)
    except UnicodeDecodeError as error:
        raise InputRefused(
            f"{path}: expected UTF-8 text, found byte {error.start} that is not"
        ) from error


def _chosen(
    rows: Iterable[object], origin: str, split: str | None, column: str
) -> Generator[tuple[str, str], None, None]:
    for number, row in enumerate(rows, 1):
        if isinstance(row, str):
            yield str(number), row
            continue
        if not isinstance(row, dict) or not isinstance(row.get(column), str):
            raise InputRefused(
                f"{origin}: row {number}: expected a string field {column!r}, found "
                f"{_found(row, column)}"
            )
        if split is None or row.get("split") == split:
            yield str(row.get("id", number)), row[column]


def _found(row: object, column: str) -> str:
    """What a row without text in its field holds instead."""
    if not isinstance(row, dict):
        return type(row).__name__
    if column in row:
        return f"{type(row[column]).__name__} there: {row[column]!r:.60}"
    return str(sorted(map(str, row)))


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


def _rows_txt(path: Path) -> Iterator[object]:
    with path.open(encoding="utf-8-sig") as lines:
        for line in lines:
            yield line.rstrip("\n")


def _rows_csv(path: Path) -> Iterator[object]:
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    # A limit of the whole process, lower than ours; only ever raised.
    csv.field_size_limit(max(csv.field_size_limit(), MAX_TEXT_BYTES + 1))
    with path.open(encoding="utf-8-sig", newline="") as stream:
        try:
            yield from csv.DictReader(stream, delimiter=delimiter)
        except csv.Error as error:
            raise InputRefused(f"{path}: expected CSV, found {error}") from error


def _rows_parquet(path: Path) -> Iterator[object]:
    try:
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise InputRefused(
            f"{path}: reading parquet needs pyarrow: pip install 'hyperinterp[data]'"
        ) from error
    try:
        for batch in parquet.ParquetFile(path).iter_batches(1024):
            yield from batch.to_pylist()
    except (OSError, ValueError) as error:
        raise InputRefused(f"{path}: expected a parquet file, found {error}") from error


_READERS = {
    ".jsonl": _rows_jsonl,
    ".json": _rows_json,
    ".txt": _rows_txt,
    ".csv": _rows_csv,
    ".tsv": _rows_csv,
    ".parquet": _rows_parquet,
}


def read_prompts(path: str | Path, limit: int | None = None) -> Passages:
    """Held-out prompt passages from a file.

    Args:
        path: as in `read_passages`.
        limit: stop reading after so many passages; None for all.

    Raises:
        InputRefused: as `read_passages`.
    """
    return read_passages(path, limit=limit)


def builtin_passages(split: str) -> Passages:
    """The fiction that ships with hyperinterp.

    Args:
        split: "train" (96 passages) or "heldout" (64 prompt passages).

    Raises:
        InputRefused: another split.
    """
    packaged = Path(str(resources.files("hyperinterp"))) / "assets" / "passages.jsonl"
    checkout = Path(__file__).resolve().parents[2] / "assets" / "passages.jsonl"
    path = packaged if packaged.is_file() else checkout
    found = read_passages(path, split=split)
    return Passages(found.items, f"built-in fiction, split {split}")
