"""Rows of a data set: a Hugging Face id that the user named, or a local data set directory."""

import importlib.util
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hyperinterp.errors import InputRefused

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*/[A-Za-z0-9][A-Za-z0-9_.-]*")
_FILES = {".jsonl", ".json", ".txt", ".csv", ".tsv", ".parquet", ".gz", ".zip"}


def is_dataset_id(name: str) -> bool:
    """Whether a name is spelled `owner/name` and not like a file."""
    return (
        bool(_ID.fullmatch(name)) and ".." not in name and Path(name).suffix.lower() not in _FILES
    )


def dataset_rows(name: str | Path, split: str | None) -> Iterator[dict[str, Any]]:
    """The rows of one split, through the library `datasets`, which runs no code of a data set.

    Args:
        name: a directory of data files, one that `save_to_disk` made, or an id `owner/name`.
        split: which split; may be None when there is only one.

    Raises:
        InputRefused: the library is not installed, the id is neither cached nor in reach, or
            there is no such split.
    """
    if importlib.util.find_spec("datasets") is None:
        raise InputRefused(
            f"{name}: reading a data set needs the library datasets: "
            "pip install 'hyperinterp[data]'"
        )
    import datasets

    local = Path(name).is_dir()
    datasets.disable_progress_bars()
    try:
        if local and _was_saved(Path(name)):
            found = datasets.load_from_disk(str(name))
        else:
            found = datasets.load_dataset(str(name))
    except Exception as error:  # many families of errors, from the hub, the files and the parsers
        raise InputRefused(_reason(str(name), error, local=local)) from error
    if isinstance(found, datasets.Dataset):
        return map(dict, found)
    splits = list(map(str, found))
    chosen = split if split is not None else splits[0] if len(splits) == 1 else None
    if chosen not in splits:
        asked = "no split named" if split is None else f"split {split!r}"
        raise InputRefused(f"{name}: expected one of the splits {', '.join(splits)}, found {asked}")
    return map(dict, found[str(chosen)])


def _was_saved(folder: Path) -> bool:
    return (folder / "dataset_dict.json").is_file() or (folder / "state.json").is_file()


def _reason(name: str, error: Exception, *, local: bool) -> str:
    first = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
    if local:
        return f"{name}: expected a directory of data files, found {first}"
    if os.environ.get("HF_HUB_OFFLINE") or os.environ.get("HF_DATASETS_OFFLINE"):
        return (
            f"{name}: expected a file, or a data set in the local cache (the Hub is switched off), "
            f"found neither: {first}"
        )
    return f"{name}: expected a file, or a data set that the Hub has, found neither: {first}"
