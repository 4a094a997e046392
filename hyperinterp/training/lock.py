"""One process per run directory: a lock that the system releases when its holder dies."""

import os
from pathlib import Path
from types import TracebackType

from filelock import FileLock, Timeout

from hyperinterp.errors import InputRefused

LOCK_NAME = "lock"
HOLDER_NAME = "lock-holder"  # beside the lock: where locks bind, a locked file cannot be read
LOCK_FILES = {LOCK_NAME, HOLDER_NAME}


class RunLock:
    """The lock of a run directory; held from `take` until `release` or the process's end.

    Args:
        folder: the run directory; `take` makes it.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / LOCK_NAME
        self._lock = FileLock(self.path, timeout=0, thread_local=False)

    def __enter__(self) -> "RunLock":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()

    def take(self) -> None:
        """Take the lock, or refuse at once.

        Raises:
            InputRefused: another process holds it; the message has its id.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire()
        except Timeout as error:
            raise _taken(self.path.parent) from error
        self.path.with_name(HOLDER_NAME).write_text(str(os.getpid()), encoding="ascii")

    def release(self) -> None:
        """Give the lock back; nothing to do when it is not held."""
        self._lock.release()


def refuse_locked(folder: Path) -> None:
    """Refuse a run directory that another process holds, without keeping the lock.

    Raises:
        InputRefused: it is held.
    """
    if not (folder / LOCK_NAME).exists():
        return
    try:
        with FileLock(folder / LOCK_NAME, timeout=0):
            pass
    except Timeout as error:
        raise _taken(folder) from error


def _taken(folder: Path) -> InputRefused:
    try:
        holder = (folder / HOLDER_NAME).read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        holder = ""
    who = f"process {holder}" if holder.isdigit() else "another process"
    return InputRefused(
        f"{folder}: expected no other run, found {who} training there; wait for it, or name "
        "another --out"
    )
