"""From the name that a user typed to what it stands for."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from hyperinterp.checkpoints.folders import chosen, is_checkpoint
from hyperinterp.checkpoints.naming import (
    Spelled,
    is_hub_id,
    meant,
    merged,
    near_paths,
    split_name,
)
from hyperinterp.checkpoints.places import below
from hyperinterp.checkpoints.zipscreen import is_bundle
from hyperinterp.errors import InputRefused, UnsafeFile

T = TypeVar("T")
Kind = Literal[
    "hub", "directory", "adapter", "safetensors", "gguf", "bundle", "builtin", "state_dict"
]  # fmt: skip
BUILTINS = ("smollm2", "gemma3-270m")
WEIGHTS_ALONE: tuple[Kind, ...] = ("safetensors", "state_dict")
_FILE_KINDS: dict[str, Kind] = {".safetensors": "safetensors", ".gguf": "gguf"}
PICKLED = frozenset({".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pickle"})
"""Suffixes of files that torch.save wrote: our bundles and the state dicts of others."""
_SHARD = re.compile(r".*-\d{2,}-of-\d{2,}\.\w+")


@dataclass(frozen=True)
class Source:
    """A resolved checkpoint name.

    Attributes:
        kind: What it is; decides how it is read.
        name: The name, with its revision and subfolder.
        path: The file or directory; None for `hub` and `builtin`.
        repository: The Hub id alone; only for `hub`.
        revision: A commit, branch or tag; only for `hub`.
        subfolder: The folder inside the repository; only for `hub`.
        like: The checkpoint whose config and tokenizer go with a file of weights alone.
        above: The directory that was named, where the checkpoint lies inside it; a tokenizer
            that the checkpoint lacks may lie there.
        notes: Sentences for the reader: what the name was taken for, where that is not plain.
    """

    kind: Kind
    name: str
    path: Path | None = None
    repository: str | None = None
    revision: str | None = None
    subfolder: str | None = None
    like: str | Path | None = None
    above: Path | None = None
    notes: tuple[str, ...] = ()


def resolve(
    name: str | Path,
    revision: str | None = None,
    subfolder: str | None = None,
    *,
    like: str | Path | None = None,
) -> Source:
    """Say what a checkpoint name stands for, without reading weights or using the network.

    A local file or directory wins over a Hub id of the same spelling. `smollm2` and `gemma3-270m`
    are always the built-in models (write `./smollm2` for a directory of that name). A name that
    looks like a path (it starts with `.`, `/` or `~`, ends in a known suffix, has more than one
    slash, or its first folder exists here) is never sent to the Hub.

    Args:
        name: A Hub id, directory, file or built-in name. A `Path` is always a path. A Hub id may
            carry a revision and a folder: `owner/name@revision:folder`.
        revision: Commit, branch or tag of a Hub id.
        subfolder: Folder inside the repository or directory.
        like: The checkpoint whose config and tokenizer go with a file of weights alone; passed
            over for other kinds.

    Raises:
        InputRefused: There is no such path, it holds no checkpoint, or the name is malformed.
    """
    text = os.fspath(name)
    if not text or "\0" in text or len(text) > 4096:
        raise InputRefused(
            f"checkpoint name: expected a Hub id or a path, found {text!r:.80}; name one of the two"
        )
    typed = Spelled(text)
    path, there = _looked_up(text)
    if isinstance(name, str) and not there:
        typed = split_name(text)
        path, there = _looked_up(typed.repository)
    spelled = merged(typed, revision, subfolder)
    if typed.repository in BUILTINS and isinstance(name, str):
        _refuse_parts(spelled, "the built-in model")
        return Source("builtin", text)
    if there:
        _refuse_parts(Spelled(spelled.repository, spelled.revision), "a local path")
        return _local(path, spelled, like)
    if isinstance(name, Path) or _looks_like_path(typed.repository):
        raise InputRefused(
            f"{text}: no such file or directory{meant(near_paths(path))}"
            " (looks like a path, not a Hub id; name a path that is here)"
        )
    return Source(
        "hub", str(spelled), None, spelled.repository, spelled.revision, spelled.subfolder
    )


def pinned(name: T, revision: str | None = None, subfolder: str | None = None) -> T | str:
    """Return a name that carries its revision and subfolder itself; anything else as it is.

    Args:
        name: What `resolve` understands, or a model that is loaded already.
        revision: Commit, branch or tag of a Hub id.
        subfolder: Folder inside the repository or directory.

    Raises:
        InputRefused: As `resolve` raises it, or a revision or subfolder of a loaded model.
    """
    if revision is None and subfolder is None:
        return name
    if not isinstance(name, str | Path):
        raise InputRefused(
            f"expected a name for the revision {revision!r} and the subfolder {subfolder!r}, found "
            "a model that is loaded; give them where it is loaded"
        )
    return resolve(name, revision, subfolder).name


def _local(path: Path, spelled: Spelled, like: str | Path | None) -> Source:
    text, subfolder = spelled.repository, spelled.subfolder
    if subfolder is not None and not path.is_dir():
        raise InputRefused(
            f"{text}: is a file, a subfolder applies to directories and Hub ids; leave it out"
        )
    folder = path if subfolder is None else below(path, subfolder)
    name = text if subfolder is None else os.path.join(text, subfolder)  # noqa: PTH118
    if folder.is_dir():
        kind, place, notes = chosen(folder)
        return Source(kind, name, place, above=path if place != path else None, notes=notes)
    kind = _file_kind(folder)
    return Source(kind, name, folder, like=like if kind in WEIGHTS_ALONE else None)


def _refuse_parts(spelled: Spelled, what: str) -> None:
    if spelled.revision is not None:
        raise InputRefused(
            f"{spelled.repository}: a revision applies to Hub ids only, this is {what}; leave the "
            "revision out"
        )
    if spelled.subfolder is not None:
        raise InputRefused(
            f"{spelled.repository}: is {what} and has no subfolders; leave the subfolder out"
        )


def _looked_up(text: str) -> tuple[Path, bool]:
    """The path that a text stands for, and whether something is there."""
    try:
        path = Path(text).expanduser()
        return path, path.exists()
    except (OSError, RuntimeError) as error:  # no such user's home, a name that is too long
        raise InputRefused(
            f"{text[:80]!r}: cannot be looked up: {error!s:.80}; name a path that exists"
        ) from error


def check_like(like: str | Path | None, *names: object) -> None:
    """Refuse `like` where no name is a file of weights alone: it would be passed over in silence.

    Raises:
        InputRefused: None of the names needs it.
    """
    given = [name for name in names if isinstance(name, str | Path)]
    if like is not None and not any(resolve(name).kind in WEIGHTS_ALONE for name in given):
        found = ", ".join(str(name) for name in given) or "models in memory"
        raise InputRefused(
            f"--like: expected a file of weights alone, such as a state dict, found {found}; "
            "leave --like out"
        )


def _looks_like_path(text: str) -> bool:
    if text[0] in "./~" or "\\" in text or text.count("/") > 1 or text.endswith("/"):
        return True
    if Path(text).suffix.lower() in set(_FILE_KINDS) | PICKLED:
        return True
    if not is_hub_id(text):
        return True
    return "/" in text and Path(text).parts[0] != text and Path(Path(text).parts[0]).exists()


def _file_kind(path: Path) -> Kind:
    if not path.is_file():
        raise UnsafeFile(f"{path}: expected a regular file or a directory")
    folder = path.parent
    if _SHARD.fullmatch(path.name) or (path.suffix == ".json" and is_checkpoint(folder)):
        raise InputRefused(f"{path}: is one of a checkpoint's files; name its folder {folder}")
    suffix = path.suffix.lower()
    if path.name.startswith("adapter_model.") and (folder / "adapter_config.json").is_file():
        raise InputRefused(f"{path}: holds an adapter's weights; name its directory {folder}")
    if suffix in _FILE_KINDS:
        return _FILE_KINDS[suffix]
    if suffix in PICKLED:
        try:
            return "bundle" if is_bundle(path) else "state_dict"
        except OSError as error:
            raise InputRefused(
                f"{path}: cannot be read: {error.strerror}; allow it with chmod"
            ) from error
    known = ", ".join(sorted({*_FILE_KINDS, *PICKLED}))
    raise InputRefused(
        f"{path}: expected a directory or a file of {known}, found {suffix!r}; name one of those"
    )


def how_to_convert() -> str:
    """One clause that says how to turn pickled weights into something that we read."""
    return (
        "where you trust the file, load it with transformers there and call "
        "model.save_pretrained(DIR), then name DIR (or `hyperinterp export DIR out.pt`)"
    )
