"""Rows of a file in its format: JSON of several layouts, tables, lines, parquet."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from hyperinterp.errors import InputRefused
from hyperinterp.text.fields import CONVERSATIONS, is_conversation
from hyperinterp.text.opening import PACKED, lines, opened
from hyperinterp.text.passages import MAX_TEXT_BYTES

MAX_DOCUMENT = 2**30  # characters of one JSON document, which is in memory as a whole


def file_rows(path: Path, *, split: str | None = None, column: str | None = None) -> Iterator[Any]:
    """Yield the rows of a file, in the format that its name says.

    Args:
        path: `.jsonl`, `.ndjson`, `.json`, `.txt`, `.csv`, `.tsv`, `.parquet`; all but the last
            may be packed (`.gz`, `.zst`).
        split: chooses among the lists of a JSON object of several.
        column: the field of the text, which tells an object of columns from a row.

    Raises:
        InputRefused: another ending, or content that is not of the format.
    """
    ending = suffix_of(path)
    if ending not in _READERS and ending != ".parquet":
        known = ", ".join([*_READERS, ".parquet"])
        raise InputRefused(
            f"{path}: expected one of the endings {known} (the first six also with .gz), "
            f"found {path.suffix or 'no such ending'}; rename or convert it"
        )
    if ending == ".parquet":
        yield from _parquet(path)
        return
    with opened(path, newline="" if ending in (".csv", ".tsv") else None) as stream:
        yield from _READERS[ending](path, stream, split, column)


def suffix_of(path: Path) -> str:
    """The ending that tells the format, in lower case, without that of the packing."""
    endings = [ending.lower() for ending in path.suffixes]
    if endings and endings[-1] in PACKED:
        endings.pop()
    return endings[-1] if endings else ""


def _txt(path: Path, stream: io.TextIOWrapper, *_: Any) -> Iterator[str]:
    for _number, line in lines(stream, path):
        yield line.rstrip("\n")


def _table(path: Path, stream: io.TextIOWrapper, *_: Any) -> Iterator[Any]:
    # A limit of the whole process, lower than ours; only ever raised.
    csv.field_size_limit(max(csv.field_size_limit(), MAX_TEXT_BYTES + 1))
    text = (line for _, line in lines(stream, path))
    header = next((line for line in text if line.strip()), "")
    delimiter = "\t" if suffix_of(path) == ".tsv" or ("\t" in header and "," not in header) else ","
    if delimiter not in header and ";" in header:
        delimiter = ";"
    try:
        yield from csv.DictReader(chain([header], text), delimiter=delimiter)
    except csv.Error as error:
        raise InputRefused(
            f"{path}: expected CSV with fields of at most {MAX_TEXT_BYTES} characters, found "
            f"{error}; write it anew with quotes, or as JSON lines"
        ) from error


def _json(
    path: Path, stream: io.TextIOWrapper, split: str | None, column: str | None
) -> Iterator[Any]:
    """Rows of JSON lines, or of one document, whichever the file holds."""
    numbered = ((number, line) for number, line in lines(stream, path) if line.strip())
    first = next(numbered, None)
    if first is None:
        return
    number, line = first
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:  # a ValueError also for endless numbers
        yield from rows_of(_document(path, first, numbered, error), str(path), split, column)
        return
    second = next(numbered, None)
    if second is None:
        yield from rows_of(value, str(path), split, column)
        return
    yield value
    for number, line in chain([second], numbered):
        try:
            yield json.loads(line)
        except (ValueError, RecursionError) as error:
            raise _no_json(path, f"line {number}", error) from error


def _document(
    path: Path, first: tuple[int, str], rest: Iterator[tuple[int, str]], error: Exception
) -> object:
    """One JSON value over several lines; the error of its first line where there is none."""
    named, line = f"line {first[0]}", first[1]
    at = getattr(error, "pos", 0)
    if at < len(line.rstrip()):  # wrong before its end, so no more lines would help
        raise _no_json(path, named, error) from error
    parts, size = [line], len(line)
    for _, line in rest:
        parts.append(line)
        size += len(line)
        if size > MAX_DOCUMENT:
            raise InputRefused(
                f"{path}: expected one JSON document of at most {MAX_DOCUMENT} characters, found "
                "more; write it as JSON lines"
            )
    try:
        return json.loads("".join(parts))
    except (ValueError, RecursionError) as other:
        if len(parts) == 1 or suffix_of(path) != ".json":
            raise _no_json(path, named, error) from other
        raise _no_json(path, "file", other) from other


def _no_json(path: Path, where: str, error: Exception) -> InputRefused:
    return InputRefused(
        f"{path}: {where}: expected JSON, found {str(error)[:120]}; give one object or string a "
        "line, or one list; plain lines of text are a .txt file"
    )


def rows_of(value: object, origin: str, split: str | None, column: str | None) -> Iterable[Any]:
    """Rows of one JSON value: a list, an object of columns, or an object with a list inside.

    Args:
        value: the value.
        origin: where it comes from, for errors.
        split: chooses among several lists.
        column: the field of the text.

    Raises:
        InputRefused: there are no rows in it, or several lists.
    """
    if is_conversation(value):
        return [value]
    if isinstance(value, list):
        return value
    if isinstance(value, str):
        return [value]
    if not isinstance(value, Mapping):
        raise InputRefused(
            f"{origin}: expected rows (JSON lines, a list, or an object of columns), found "
            f"{type(value).__name__}; write one object or string a line"
        )
    wanted = ("text", *CONVERSATIONS, "prompt") if column is None else (column,)
    if any(isinstance(value.get(name), str) or is_conversation(value.get(name)) for name in wanted):
        return [value]
    table = _columns(value, wanted)
    if table is not None:
        return table
    inside = {str(name): rows for name, rows in value.items() if isinstance(rows, list) and rows}
    if split in inside:
        return ({"split": split, **_row(row)} for row in inside[split])
    if not inside:
        return [value]
    if len(inside) == 1:
        return next(iter(inside.values()))
    raise InputRefused(
        f"{origin}: expected an object with one list of rows, or of columns with "
        f"{wanted[0]!r} among them, found the fields "
        f"{', '.join(map(repr, list(value)[:20]))}; name a list with --split, or a column with "
        "--column"
    )


def _row(row: object) -> Mapping[str, Any]:
    if isinstance(row, Mapping):
        return row
    return {"messages" if is_conversation(row) else "text": row}


def _columns(value: Mapping[str, Any], wanted: tuple[str, ...]) -> list[dict[str, Any]] | None:
    """Rows of an object of columns, in the three layouts that tables are written in; or None."""
    names, data = value.get("columns"), value.get("data")
    if isinstance(names, list) and isinstance(data, list) and any(n in names for n in wanted):
        return [dict(zip(map(str, names), row, strict=False)) for row in data]
    held = {
        str(name): list(items.values()) if isinstance(items, Mapping) else items
        for name, items in value.items()
        if isinstance(items, list | Mapping)
    }
    texts = next((held[name] for name in wanted if name in held), None)
    if texts is None or not all(map(_may_be_text, texts)):
        return None
    same = {name: items for name, items in held.items() if len(items) == len(texts)}
    return [dict(zip(same, row, strict=True)) for row in zip(*same.values(), strict=True)]


def _may_be_text(item: object) -> bool:
    return item is None or isinstance(item, str | int | float) or is_conversation(item)


def _parquet(path: Path) -> Iterator[Any]:
    try:
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise InputRefused(
            f"{path}: expected pyarrow, which reads parquet, found none; "
            "pip install 'hyperinterp[data]'"
        ) from error
    try:
        for batch in parquet.ParquetFile(path).iter_batches(1024):
            yield from batch.to_pylist()
    except (OSError, ValueError) as error:
        raise InputRefused(
            f"{path}: expected a parquet file, found {str(error)[:200]}; get or write it anew"
        ) from error


_READERS: dict[str, Callable[..., Iterator[Any]]] = {
    ".jsonl": _json, ".ndjson": _json, ".json": _json, ".txt": _txt, ".csv": _table, ".tsv": _table,
}  # fmt: skip
