"""GGUF files are de-quantised once; the result is kept in the cache by the file's sha256."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock

from hyperinterp.checkpoints.gguf import convert_gguf, screen_gguf
from hyperinterp.checkpoints.manifest import MANIFEST_NAME, file_sha256
from hyperinterp.checkpoints.places import cache_directory
from hyperinterp.errors import InputRefused, OutOfResources

_EDITION = 1
"""Raised when a conversion would give other weights; old entries are then made anew."""


def find_converted(path: Path) -> Path:
    """The cached directory of a GGUF file, converted if need be.

    Raises:
        InputRefused: The file is damaged, hostile, or of a family that transformers cannot read;
            or the cache cannot be written.
        OutOfResources: The cache's disk is full.
    """
    screen_gguf(path)
    digest = file_sha256(path)
    return cached(digest) or converted(path, digest)


def cached(digest: str) -> Path | None:
    """The finished conversion of the file with this sha256; None when there is none."""
    folder = _folder(digest)
    return folder if (folder / MANIFEST_NAME).is_file() else None


def converted(path: Path, digest: str) -> Path:
    """Convert a GGUF file into the cache; who comes second waits for the first.

    Raises:
        InputRefused: It cannot be read, or the cache cannot be written.
        OutOfResources: The cache's disk is full.
    """
    folder = _folder(digest)
    with _lock(folder):
        if not (folder / MANIFEST_NAME).is_file():
            shutil.rmtree(folder, ignore_errors=True)
            with _naming_the_cache(folder):
                convert_gguf(path, folder, provenance={"gguf_sha256": digest})
    return folder


def drop(digest: str) -> None:
    """Remove a conversion that no longer verifies; the next load makes it again."""
    folder = _folder(digest)
    with _lock(folder):
        shutil.rmtree(folder, ignore_errors=True)


def _folder(digest: str) -> Path:
    return cache_directory() / f"gguf-{digest}-{_EDITION}"


@contextlib.contextmanager
def _naming_the_cache(folder: Path) -> Iterator[None]:
    """A refusal to write says which variable names another place."""
    try:
        yield
    except OutOfResources as error:
        if str(folder) not in str(error):
            raise
        raise OutOfResources(
            f"cache {folder.parent}: the disk is full; set HYPERINTERP_CACHE to a directory "
            "with room"
        ) from error
    except InputRefused as error:
        if "cannot be written" not in str(error):
            raise
        raise InputRefused(
            f"cache {folder.parent}: cannot be written; set HYPERINTERP_CACHE to a directory "
            "with room"
        ) from error


def _lock(folder: Path) -> FileLock:
    """One converter at a time; the lock goes with the process that holds it."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        path = folder.parent / f".{folder.name}.lock"
        path.touch()
    except OSError as error:
        raise InputRefused(
            f"cache {folder.parent}: cannot be written ({error.strerror}); set "
            "HYPERINTERP_CACHE to a directory with room"
        ) from error
    return FileLock(path)
