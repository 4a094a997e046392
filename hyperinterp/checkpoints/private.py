"""Temporary directories that only this user can read, and that no ended process leaves behind."""

import contextlib
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

from hyperinterp.checkpoints.files import alive, translate_io_errors
from hyperinterp.errors import InputRefused

_REMEDY = "set TMPDIR to a directory with space that can be written"


@contextlib.contextmanager
def private_directory() -> Iterator[Path]:
    """A temporary directory that only this user can read, removed afterwards.

    What killed processes of this host have left there is removed first.

    Raises:
        InputRefused: no temporary directory can be written.
        OutOfResources: its disk is full.
    """
    try:
        place = Path(tempfile.gettempdir())
    except FileNotFoundError as error:
        raise InputRefused(
            f"temporary files: expected a directory that can be written, found none; {_REMEDY}"
        ) from error
    with translate_io_errors(place, remedy=_REMEDY):
        sweep_temporary(place)
        root = Path(tempfile.mkdtemp(prefix=f"{_prefix()}{os.getpid()}-", dir=place))
        try:
            yield root
        finally:
            shutil.rmtree(root, ignore_errors=True)


def sweep_temporary(place: Path) -> None:
    """Remove the private directories of this user's dead processes of this host."""
    for path in place.glob(f"{_prefix()}*"):
        pid = path.name[len(_prefix()) :].partition("-")[0]
        if not pid.isascii() or not pid.isdigit() or len(pid) > 9 or alive(int(pid)):
            continue
        with contextlib.suppress(OSError):
            if path.is_dir() and not path.is_symlink() and _ours(path):
                shutil.rmtree(path, ignore_errors=True)


def _ours(path: Path) -> bool:
    return not hasattr(os, "getuid") or path.stat().st_uid == os.getuid()


def _prefix() -> str:
    return f"hyperinterp-{socket.gethostname()}-"
