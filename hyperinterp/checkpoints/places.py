"""Places of files: below their checkpoint or in the Hub's cache, and the way out elsewhere.

The Hub's cache is laid out by huggingface_hub: `<cache>/models--owner--name/snapshots/<commit>/`
holds links to `../../blobs/<etag>`, and such a blob may itself be a link into a store that all
repositories of the cache share, `<cache>/blobs/<aa>/<sha256>`.
"""

import contextlib
import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path

from hyperinterp.errors import HyperinterpError, InputRefused, OutOfResources, UnsafeFile

_REPOSITORY = re.compile(r"(models|datasets|spaces|kernels)--.+")
_SHARED_BLOB = re.compile(r"([0-9a-f]{2})/\1[0-9a-f]{62}")
_PRIVATE = "hyperinterp-"
_STORE_MARK = ".huggingface-shared-blobs"
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def within(root: Path, path: Path) -> Path:
    """Return `path` with symbolic links followed; it must stay below `root`.

    For a snapshot in a Hub cache (or a folder of one), what that cache itself keeps counts as
    inside: the files of its repositories and its shared store.

    Raises:
        UnsafeFile: It leaves the directory, or is not a regular file.
    """
    real, base = _followed(path), _followed(root)
    if not real.is_relative_to(base) and not _in_cache_of(base, real):
        raise UnsafeFile(
            f"{path}: leads outside {root} (to {real}); expected the file itself: copy it there"
        )
    if not real.is_file():
        raise UnsafeFile(f"{path}: expected a regular file, found {_kind_of(real)}")
    return real


def below(root: Path, subfolder: str) -> Path:
    """Return a folder inside `root`, which it must not leave.

    Raises:
        UnsafeFile: It leads outside.
        InputRefused: There is no such folder.
    """
    folder = root / subfolder
    if not _followed(folder).is_relative_to(_followed(root)):
        raise UnsafeFile(f"{folder}: leads outside {root}; name a folder inside it")
    if not folder.is_dir():
        there = sorted(p.name for p in root.iterdir() if p.is_dir())[:8]
        raise InputRefused(
            f"{root}: has no folder {subfolder}; name one that is there "
            f"({', '.join(there) or 'none is'})"
        )
    return folder


def _followed(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError) as error:  # links in a circle
        raise UnsafeFile(f"{path}: its links lead nowhere ({error!s:.120})") from error


def _kind_of(path: Path) -> str:
    if path.is_dir():
        return "a directory"
    return "something else" if path.exists() else "nothing"


def _in_cache_of(base: Path, real: Path) -> bool:
    """Return whether a followed path lies in the Hub cache of the followed directory."""
    for snapshot in (base, *base.parents):
        repository = snapshot.parent.parent
        if snapshot.parent.name == "snapshots" and _REPOSITORY.fullmatch(repository.name):
            return _kept_by(repository.parent, real)
    return False


def _kept_by(cache: Path, real: Path) -> bool:
    if not real.is_relative_to(cache):
        return False
    first, _, rest = real.relative_to(cache).as_posix().partition("/")
    if first == "blobs":
        marked = (cache / "blobs" / _STORE_MARK).is_file()
        return marked and bool(_SHARED_BLOB.fullmatch(rest))
    return bool(_REPOSITORY.fullmatch(first))


def cache_directory() -> Path:
    """Return the directory of converted models: $HYPERINTERP_CACHE, else below the user's cache.

    Raises:
        InputRefused: No variable is set, and there is no home directory.
    """
    for variable, inside in (("HYPERINTERP_CACHE", ""), ("XDG_CACHE_HOME", "hyperinterp")):
        if own := os.environ.get(variable):
            with usable(own, "HYPERINTERP_CACHE"):
                return Path(own).expanduser() / inside
    with usable("~/.cache/hyperinterp", "HYPERINTERP_CACHE"):
        return Path.home() / ".cache" / "hyperinterp"


def advice(target: Path) -> str:
    """Return what helps where a file cannot be written: a variable, or another --out."""
    target = target.absolute()
    with contextlib.suppress(InputRefused):
        if target.is_relative_to(cache_directory().absolute()):
            return "set HYPERINTERP_CACHE to a directory with room that can be written"
    if any(part.startswith(_PRIVATE) for part in target.parts):
        return "set TMPDIR to a directory with space that can be written"
    return "choose another --out"


@contextlib.contextmanager
def usable(place: object, variable: str) -> Iterator[None]:
    """Turn the errors of a directory that cannot be used into one line that names a variable.

    Args:
        place: The directory, as the reader should see it.
        variable: The environment variable that moves it.

    Raises:
        OutOfResources: Its disk is full.
        InputRefused: It cannot be made, read or written.
    """
    try:
        yield
    except HyperinterpError:
        raise
    except (OSError, RuntimeError) as error:  # no home directory is a RuntimeError
        reason = getattr(error, "strerror", None) or str(error)
        if getattr(error, "errno", None) in _FULL:
            raise OutOfResources(
                f"{place}: the disk is full ({reason}); free some space, or set {variable} to a "
                "directory on another disk"
            ) from error
        raise InputRefused(
            f"{place}: cannot be used ({reason:.200}); set {variable} to a directory that can be "
            "written"
        ) from error
