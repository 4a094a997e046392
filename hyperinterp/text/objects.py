"""Rows of texts that are in memory: lists, tables, and data sets of other libraries."""

import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from hyperinterp.errors import InputRefused
from hyperinterp.text.fields import is_conversation
from hyperinterp.text.formats import rows_of
from hyperinterp.text.passages import Passages

_EXPECTED = "expected a path, a data set id, a list of texts, a data set or Passages"


def is_name(given: object) -> bool:
    """Tell a path or an id from texts in memory."""
    return isinstance(given, str | os.PathLike)


def object_rows(given: Any, split: str | None, what: str) -> tuple[Iterable[Any], str]:
    """Rows of an object in memory, and its origin in words.

    Args:
        given: no name; see `as_passages`.
        split: of a data set that has several.
        what: what it was given for.

    Raises:
        InputRefused: it holds no rows.
    """
    if isinstance(given, Passages):
        return given.items, given.origin
    origin = f"{what} in memory"
    library = type(given).__module__.split(".")[0]
    if library == "datasets":
        return _dataset_rows(given, split, what)
    if split is not None and library in ("pandas", "pyarrow", "polars"):
        given = _table_rows(given, library)
        return [row for row in given if isinstance(row, Mapping) and row.get("split") == split], (
            f"{origin}, split {split}"
        )
    if library in ("pandas", "pyarrow", "polars"):
        return _table_rows(given, library), origin
    if library == "numpy" and hasattr(given, "tolist"):
        given = given.tolist()
    _refuse(given, what)
    if isinstance(given, Mapping):
        return rows_of(given, what, split, None), origin
    if split is not None:
        given = [row for row in given if isinstance(row, Mapping) and row.get("split") == split]
        origin = f"{origin}, split {split}"
    return given, origin


def _refuse(given: Any, what: str) -> None:
    found, advice = f"{type(given).__name__}", "give texts as a list of strings"
    if is_conversation(given) and isinstance(given, list | tuple):
        found, advice = "the messages of one conversation", "put it in a list: [messages]"
    elif isinstance(given, bytes | bytearray | memoryview):
        advice = "decode it and put it in a list: [data.decode()]"
    elif isinstance(given, set | frozenset):
        found, advice = "a set, whose order is not fixed", "give sorted(...) of it"
    elif given is None:
        found = "None"
    elif isinstance(given, Mapping):
        lists = any(isinstance(items, list | tuple | Mapping) for items in given.values())
        if lists:
            return
        found, advice = "one row", "put it in a list: [row]"
    elif isinstance(given, list | tuple) and given and isinstance(given[0], Path | os.PathLike):
        found, advice = "a list of paths", "read each with hi.read_passages, or join the files"
    elif isinstance(given, Iterable) or hasattr(given, "__getitem__"):
        return
    raise InputRefused(f"{what}: {_EXPECTED}, found {found}; {advice}")


def _table_rows(given: Any, library: str) -> Iterable[Any]:
    """Rows of a table as dicts; the values of a column as they are."""
    for made in ("to_pylist", "to_dicts") if library != "pandas" else ():
        if hasattr(given, made):
            return getattr(given, made)()
    if hasattr(given, "columns") and hasattr(given, "to_dict"):
        return given.to_dict("records")
    return given.to_list() if hasattr(given, "to_list") else given


def _dataset_rows(given: Any, split: str | None, what: str) -> tuple[Iterable[Any], str]:
    """Rows of a data set of the library `datasets`, of the split asked for or the only one."""
    if isinstance(given, Mapping):
        splits = list(map(str, given))
        chosen = split if split is not None else splits[0] if len(splits) == 1 else None
        if chosen not in splits:
            asked = "no split named" if split is None else f"split {split!r}"
            raise InputRefused(
                f"{what}: expected one of the splits {', '.join(splits)}, found {asked}; choose "
                "one, given['NAME'] (split= in Python, --split on the command line)"
            )
        return given[chosen], f"data set in memory, split {chosen}"
    datasets = sys.modules["datasets"]
    if isinstance(given, datasets.Dataset | datasets.IterableDataset):
        own = None if given.split is None else str(given.split)
        if split is not None and own != split and "split" not in (given.column_names or ()):
            raise InputRefused(
                f"{what}: expected a data set of split {split!r}, found {own or 'none named'}: "
                "leave the split out"
            )
        if split is not None and own != split:
            given = (row for row in given if row["split"] == split)
        return given, "data set in memory" + (f", split {split or own}" if split or own else "")
    return given, f"{what} in memory"  # a column of a data set
