"""Passages from files, data sets and objects in memory, and those that ship with the package."""

from collections.abc import Generator
from importlib import resources
from pathlib import Path
from typing import Any

from hyperinterp.errors import InputRefused
from hyperinterp.text.fields import passages_of
from hyperinterp.text.formats import file_rows
from hyperinterp.text.hub import dataset_rows, is_dataset_id
from hyperinterp.text.naming import missing
from hyperinterp.text.objects import is_name, object_rows
from hyperinterp.text.passages import Passage, Passages, collect

VALIDATION = 16
"""Built-in passages at most that choose a control."""


def as_passages(
    given: Any,
    *,
    split: str | None = None,
    column: str | None = None,
    limit: int | None = None,
    what: str = "passages",
) -> Passages:
    """Return the passages of anything that texts come in.

    Args:
        given: a path or data set id, as in `read_passages`; a list, tuple, generator, array or
            column of strings or of dicts; a list of conversations (lists of messages); a Hugging
            Face `Dataset`, `IterableDataset` or `DatasetDict`; a pandas or Arrow table; or
            `Passages`, which come back as they are.
        split: keep only the rows whose `split` equals this; the split of a data set.
        column: the field that holds the text; see `read_passages`.
        limit: stop reading after so many passages.
        what: what the passages are for, for errors.

    Raises:
        InputRefused: what is given cannot be read as texts, or none of them is left.
    """
    if isinstance(given, Passages):
        return given.head(limit)
    rows, origin = open_rows(given, split, column, what)
    return collect(rows, origin, limit)


def read_passages(
    path: str | Path,
    *,
    split: str | None = None,
    column: str | None = None,
    limit: int | None = None,
) -> Passages:
    """Read texts from a file or a data set.

    Args:
        path: `.jsonl` or `.ndjson` (objects with `text`, optionally `id` and `split`; or plain
            strings), `.json` (a list of the same, JSON lines, an object of columns, or one with a
            list of rows inside), `.txt` (one text per line), `.csv` or `.tsv`, all of them also
            packed (`.gz`, `.zst`); `.parquet` (needs the `data` extra), a data set directory, or,
            when nothing of that name exists, a Hugging Face data set id `owner/name` or
            `owner/name:config` (both need the `data` extra).
        split: keep only the rows whose `split` equals this; the split of a data set.
        column: the field that holds the text or messages, with dots for nested ones; by default
            `text`, else `messages`, `conversations`, or `prompt` and `completion` together.
        limit: stop reading after so many passages.

    Raises:
        InputRefused: no such file or data set, not text, not of the stated form, or empty.
    """
    return as_passages(path, split=split, column=column, limit=limit)


def open_rows(
    given: Any, split: str | None = None, column: str | None = None, what: str = "passages"
) -> tuple[Generator[Passage, None, None], str]:
    """The passages of anything, read as they are asked for, and their origin in words.

    The arguments and errors are those of `as_passages`; errors of a row come with the row.
    """
    if not is_name(given):
        rows, origin = object_rows(given, split, what)
        return passages_of(rows, origin, column=column), origin
    name, path = str(given), Path(given)
    if path.is_dir() or (not path.exists() and is_dataset_id(name)):
        origin = name if split is None else f"{name}, split {split}"
        return passages_of(dataset_rows(name, split), name, column=column), origin
    if not path.is_file():
        found, advice = missing(given, what)
        raise InputRefused(f"{found}; {advice}")
    rows = file_rows(path, split=split, column=column)
    return passages_of(rows, name, split=split, column=column), name


def read_prompts(path: str | Path, limit: int | None = None) -> Passages:
    """Read held-out prompt passages from a file.

    Args:
        path: as in `read_passages`.
        limit: stop reading after so many passages; None for all.

    Raises:
        InputRefused: as `read_passages`.
    """
    return read_passages(path, limit=limit)


def builtin_passages(split: str) -> Passages:
    """Return the passages that ship with hyperinterp.

    Args:
        split: "train" (96 passages of fiction), "heldout" (64 prompt passages of fiction), or
            "other" (48 of other kinds: instructions, letters, dialogue, reports).

    Raises:
        InputRefused: another split.
    """
    if split not in ("train", "heldout", "other"):
        raise InputRefused(
            f"split: expected 'train', 'heldout' or 'other', found {split!r}; choose one"
        )
    packaged = Path(str(resources.files("hyperinterp"))) / "assets" / "passages.jsonl"
    checkout = Path(__file__).resolve().parents[2] / "assets" / "passages.jsonl"
    path = packaged if packaged.is_file() else checkout
    found = read_passages(path, split=split)
    kind = "text of other kinds" if split == "other" else f"fiction, split {split}"
    return Passages(found.items, f"built-in {kind}")


def unlearnt(learnt: Passages) -> Passages | None:
    """Return the built-in passages that choose a control: up to 16 that are not learnt.

    They are the last training passages, which nothing is compared on; None where all are learnt.

    Args:
        learnt: what is trained on.
    """
    whole, known = builtin_passages("train"), {item.text for item in learnt}
    left = tuple(item for item in whole if item.text not in known)[-VALIDATION:]
    return Passages(left, f"{whole.origin}, the last {len(left)} not learnt") if left else None
