"""One command per output: a lock that the system releases when its holder dies."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from hyperinterp.checkpoints.files import check_place, translate_io_errors
from hyperinterp.distributed import ALONE, Processes
from hyperinterp.errors import InputRefused


@contextmanager
def only_one(
    target: str | Path | None, option: str = "--out", processes: Processes = ALONE
) -> Iterator[None]:
    """Hold the lock of an output while the context lasts; nothing without one.

    The lock is a hidden file in the nearest directory above that is there, and goes with it.

    Args:
        target: the file or directory, there or not.
        option: what names it, for the error.
        processes: those that share the work; the first holds the lock for all.

    Raises:
        InputRefused: another command holds it, or nothing can be made there.
    """
    if target is None:
        yield
        return
    path = _lock_of(Path(target).absolute())
    lock = lock_file(path)

    def take() -> None:
        check_place(target)
        try:
            with translate_io_errors(path):
                lock.acquire()
        except Timeout as error:
            raise InputRefused(
                f"{target}: expected no other command there, found one that is not done; wait for "
                f"it, or name another {option}"
            ) from error

    processes.by_first(take)
    try:
        yield
    finally:
        if lock.is_locked:
            with suppress(OSError):  # Windows does not remove what is open
                path.unlink()
            lock.release()


def lock_file(path: Path) -> FileLock:
    """Return a lock that is not waited for unless asked; the folder above it is made.

    `acquire` raises `Timeout` where another process has it.

    Raises:
        InputRefused: the folder cannot be made.
        OutOfResources: the disk is full.
    """
    with translate_io_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(path, timeout=0, thread_local=False)


def _lock_of(target: Path) -> Path:
    """The lock file of a path: the same for every command that names it."""
    real = target.resolve()
    folder = next(parent for parent in real.parents if parent.is_dir())
    name = hashlib.sha256(str(real).encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return folder / f".hyperinterp-{name}.lock"
