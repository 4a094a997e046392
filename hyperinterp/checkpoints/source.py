"""From the name that a user typed to what it stands for."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hyperinterp.checkpoints.zipscreen import is_bundle
from hyperinterp.errors import InputRefused, UnsafeFile

Kind = Literal[
    "hub", "directory", "adapter", "safetensors", "gguf", "bundle", "builtin", "state_dict"
]  # fmt: skip
BUILTINS = ("smollm2", "gemma3-270m")
WEIGHTS_ALONE: tuple[Kind, ...] = ("safetensors", "state_dict")
_HUB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,95}(/[A-Za-z0-9][A-Za-z0-9_.\-]{0,95})?")
_REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-/]{0,199}")
_FILE_KINDS: dict[str, Kind] = {".safetensors": "safetensors", ".gguf": "gguf"}
PICKLED = frozenset({".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pickle"})
"""Suffixes of files that torch.save wrote: our bundles and the state dicts of others."""


@dataclass(frozen=True)
class Source:
    """A resolved checkpoint name.

    Attributes:
        kind: What it is; decides how it is read.
        name: The name as given.
        path: The file or directory; None for `hub` and `builtin`.
        revision: A commit, branch or tag; only for `hub`.
        like: The checkpoint whose config and tokenizer go with a file of weights alone.
        notes: Sentences for the reader: what the name was taken for, where that is not plain.
    """

    kind: Kind
    name: str
    path: Path | None = None
    revision: str | None = None
    like: str | Path | None = None
    notes: tuple[str, ...] = ()


def resolve(
    name: str | Path, revision: str | None = None, like: str | Path | None = None
) -> Source:
    """Say what a checkpoint name stands for, without reading weights or using the network.

    A local file or directory wins over a Hub id of the same spelling. `smollm2` and `gemma3-270m`
    are always the built-in models (write `./smollm2` for a directory of that name). A name that
    looks like a path (it starts with `.`, `/` or `~`, ends in a known suffix, has more than one
    slash, or its first folder exists here) is never sent to the Hub.

    Args:
        name: A Hub id, directory, file or built-in name. A `Path` is always a path.
        revision: Commit, branch or tag of a Hub id.
        like: The checkpoint whose config and tokenizer go with a file of weights alone; passed
            over for other kinds.

    Raises:
        InputRefused: There is no such path, it holds no checkpoint, or the name is malformed.
    """
    text = os.fspath(name)
    if not text or "\0" in text or len(text) > 4096:
        raise InputRefused(
            f"checkpoint name: expected a Hub id or a path, found {text!r:.80}; name one"
        )
    if text in BUILTINS and isinstance(name, str):
        source = Source("builtin", text)
    else:
        path, there = _looked_up(text)
        if there:
            kind = _kind_of(path)
            source = Source(kind, text, path, like=like if kind in WEIGHTS_ALONE else None)
        elif isinstance(name, Path) or _looks_like_path(text):
            raise InputRefused(
                f"{text}: no such file or directory (looks like a path, not a Hub id); correct "
                "it, or write a Hub id as owner/model"
            )
        else:
            return Source("hub", text, None, _check_revision(revision))
    if revision is not None:
        raise InputRefused(f"{text}: --revision applies to Hub ids only, this is a {source.kind}")
    return source


def _looked_up(text: str) -> tuple[Path, bool]:
    """The path that a text stands for, and whether something is there."""
    try:
        path = Path(text).expanduser()
        return path, path.exists()
    except (OSError, RuntimeError) as error:  # no such user's home, a name that is too long
        raise InputRefused(
            f"{text[:80]!r}: cannot be looked up: {error!s:.80}; choose another path"
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


def is_hub_id(text: str) -> bool:
    """Whether a text is spelled like a Hub id (`name` or `owner/name`)."""
    return bool(_HUB_ID.fullmatch(text)) and ".." not in text and "--" not in text


def _looks_like_path(text: str) -> bool:
    if text[0] in "./~" or "\\" in text or text.count("/") > 1 or text.endswith("/"):
        return True
    if Path(text).suffix.lower() in set(_FILE_KINDS) | PICKLED:
        return True
    if not is_hub_id(text):
        return True
    return "/" in text and Path(text).parts[0] != text and Path(Path(text).parts[0]).exists()


def _check_revision(revision: str | None) -> str | None:
    if revision is not None and (not _REVISION.fullmatch(revision) or ".." in revision):
        raise InputRefused(f"--revision: expected a commit, branch or tag, found {revision!r:.80}")
    return revision


def _kind_of(path: Path) -> Kind:
    if path.is_dir():
        return _directory_kind(path)
    if not path.is_file():
        raise UnsafeFile(f"{path}: expected a regular file or a directory")
    suffix = path.suffix.lower()
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
        f"{path}: expected a directory or a file of {known}, found {suffix!r}; name one of these"
    )


def _directory_kind(path: Path) -> Kind:
    if (path / "adapter_config.json").is_file():
        return "adapter"
    if (path / "config.json").is_file():
        return "directory"
    checkpoints = sorted(p.name for p in path.iterdir() if (p / "config.json").is_file())
    hint = f"; did you mean {path / checkpoints[-1]}?" if checkpoints else ""
    raise InputRefused(
        f"{path}: expected config.json or adapter_config.json in it, found none{hint}"
    )


def how_to_convert() -> str:
    """One clause that says how to turn pickled weights into something that we read."""
    return (
        "where you trust the file, load it with transformers there and call "
        "model.save_pretrained(DIR), then name DIR (or `hyperinterp export DIR out.pt`)"
    )
