"""Rows of a data set: a Hugging Face id that the user named, or a local data set directory."""

import importlib.util
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hyperinterp.errors import InputRefused
from hyperinterp.text.naming import nearby

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*/[A-Za-z0-9][A-Za-z0-9_.-]*(:[A-Za-z0-9_.+-]+)?")
_FILES = {
    ".jsonl", ".ndjson", ".json", ".txt", ".csv", ".tsv", ".parquet", ".arrow", ".gz", ".zst",
    ".zip", ".md", ".html", ".pdf", ".xlsx", ".tar", ".bz2", ".xz",
}  # fmt: skip


def is_dataset_id(name: str) -> bool:
    """Tell a name that is spelled `owner/name` or `owner/name:config`, and not like a file."""
    return (
        bool(_ID.fullmatch(name)) and ".." not in name and Path(name).suffix.lower() not in _FILES
    )


def dataset_rows(name: str | Path, split: str | None) -> Iterator[dict[str, Any]]:
    """The rows of one split, through the library `datasets`, which runs no code of a data set.

    Args:
        name: a directory of data files, one that `save_to_disk` made, or an id `owner/name`, with
            `:config` behind it where the data set has several.
        split: which split; may be None when there is only one.

    Raises:
        InputRefused: the library is not installed, the id is neither cached nor in reach, or
            there is no such split.
    """
    if importlib.util.find_spec("datasets") is None:
        seen = "" if Path(name).is_dir() else f"no such file ({nearby(Path(name))}), and "
        raise InputRefused(
            f"{name}: {seen}reading a data set needs the library datasets; "
            "pip install 'hyperinterp[data]'"
        )
    import datasets

    local = Path(name).is_dir()
    datasets.disable_progress_bars()
    try:
        if local and _was_saved(Path(name)):
            found = datasets.load_from_disk(str(name))
        else:
            owned, _, config = str(name).partition(":") if not local else (str(name), "", "")
            found = datasets.load_dataset(owned, config or None)
    except Exception as error:  # many families of errors, from the hub, the files and the parsers
        raise InputRefused(_reason(str(name), error, local=local)) from error
    if isinstance(found, datasets.Dataset):
        return map(dict, found)
    splits = list(map(str, found))
    chosen = split if split is not None else splits[0] if len(splits) == 1 else None
    if chosen not in splits:
        asked = "no split named" if split is None else f"split {split!r}"
        raise InputRefused(
            f"{name}: expected one of the splits {', '.join(splits)}, found {asked}; name one with "
            "--split (split= in Python)"
        )
    return map(dict, found[str(chosen)])


def _was_saved(folder: Path) -> bool:
    return (folder / "dataset_dict.json").is_file() or (folder / "state.json").is_file()


def _reason(name: str, error: Exception, *, local: bool) -> str:
    first = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
    if local:
        return (
            f"{name}: expected a directory of data files, found {first}; name a file in it, or a "
            "directory with .jsonl, .csv or .parquet files"
        )
    if "onfig name is missing" in str(error) or "BuilderConfig" in str(error):
        listed = re.search(r"\[[^]]*\]", str(error))
        known = f" ({listed.group()[:200]})" if listed else ""
        return f"{name}: expected the name of one of its configurations{known}; write {name}:CONFIG"
    seen = f"expected a file, found none ({nearby(Path(name))})"
    if os.environ.get("HF_HUB_OFFLINE") or os.environ.get("HF_DATASETS_OFFLINE"):
        return (
            f"{name}: {seen}; as a data set it is not in the local cache, and the Hub is switched "
            f"off ({first}); correct the name, or unset HF_HUB_OFFLINE"
        )
    return (
        f"{name}: {seen}; as a data set of the Hub it cannot be read either ({first}); correct the "
        "name"
    )
