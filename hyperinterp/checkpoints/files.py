"""Writes that either happen completely or not at all, for single files and for directories."""

import contextlib
import ctypes
import errno
import os
import re
import secrets
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

from hyperinterp.checkpoints.places import advice
from hyperinterp.errors import HyperinterpError, InputRefused, OutOfResources

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_DENIED = {errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST}
_RENAME_NOREPLACE, _RENAME_EXCHANGE = 1, 2
_AT_FDCWD = -100
MANIFEST_NAME = "hyperinterp-manifest.json"
"""The file by which a directory is known as one that hyperinterp wrote."""
LOG_NAME = "training_log.jsonl"
"""The log of a training run, beside the checkpoint that it wrote."""


def write_file(
    out: str | Path, content: bytes | Callable[[Path], None], *, force: bool = False
) -> Path:
    """Write one file completely or not at all.

    Args:
        out: The file to write.
        content: Its bytes, or a function that writes them to the path it is given.
        force: Replace an existing file (atomically) instead of refusing.

    Raises:
        InputRefused: `out` exists (without `force`), is a directory, or cannot be written.
        OutOfResources: The disk is full; nothing is left behind.
    """
    target = Path(out)
    _refuse_existing(target, force=force, directory=False)
    with translate_io_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        sweep_partials(target)
        partial = partial_name(target)
        try:
            if isinstance(content, bytes):
                write_bytes(partial, content)
            else:
                content(partial)
                fsync_path(partial)
            move_into_place(partial, target, force=force)
            fsync_path(target.parent)
        finally:
            partial.unlink(missing_ok=True)
    return target


def check_target(out: str | Path, *, force: bool, directory: bool) -> None:
    """Refuse, before any work, a file or checkpoint directory that will not be written.

    Raises:
        InputRefused: something is there that may not be replaced, or `out` cannot be made.
        OutOfResources: the disk is full.
    """
    _refuse_existing(Path(out), force=force, directory=directory)
    check_place(out)


def check_place(out: str | Path) -> None:
    """Refuse, before any work, a path that cannot be made.

    What permissions say is not believed: a hidden directory is made in the nearest directory on
    the way to `out` that there is, and removed.

    Raises:
        InputRefused: that is no directory, or nothing can be made in it.
        OutOfResources: the disk is full.
    """
    out = Path(out)
    nearest = next(path for path in out.absolute().parents if os.path.lexists(path))
    if not nearest.is_dir():
        raise InputRefused(
            f"{out}: expected a directory at {nearest}, found something else; choose another --out"
        )
    probe = partial_name(nearest / out.name)
    try:
        with translate_io_errors(out):
            probe.mkdir()
    except OSError as error:
        raise InputRefused(
            f"{out}: expected a place where files can be made, found {error.strerror} in "
            f"{nearest}; choose another --out"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            probe.rmdir()


def publish_directory(out: Path, fill: Callable[[Path], None], *, force: bool) -> Path:
    """Let `fill` write a hidden sibling directory, then rename it to `out` in one step.

    With `force` an earlier directory of ours is exchanged atomically where the system can
    (renameat2 on Linux), so a crash leaves either the old or the new one.
    """
    _refuse_existing(out, force=force, directory=True)
    with translate_io_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        sweep_partials(out)
        partial = partial_name(out)
        try:
            partial.mkdir()
            fill(partial)
            for path in sorted(partial.rglob("*")):
                fsync_path(path)
            fsync_path(partial)
            move_into_place(partial, out, force=force)
            fsync_path(out.parent)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return out


def write_bytes(path: Path, content: bytes) -> None:
    """Write and fsync a new file through `os.write`."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(handle, view) :]
        os.fsync(handle)
    finally:
        os.close(handle)


def fsync_path(path: Path) -> None:
    """Force a file's or a directory's content to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def translate_io_errors(target: Path, remedy: str | None = None) -> Iterator[None]:
    """Turn a full disk into `OutOfResources` and a denied path into `InputRefused`.

    Args:
        target: what is written.
        remedy: what the user can do instead, as an imperative; found from `target` by default.
    """
    try:
        yield
    except HyperinterpError:
        raise
    except MemoryError as error:
        raise OutOfResources(
            f"{target}: memory ran out while writing; try a smaller model or batch"
        ) from error
    except Exception as error:
        number = _error_number(error)
        if number in _FULL:
            raise OutOfResources(
                f"{target}: the disk is full ({os.strerror(number)}); nothing was written; free "
                f"some space or {remedy or advice(target)}"
            ) from error
        if number in _DENIED:
            raise InputRefused(
                f"{_culprit(error, target)}: cannot be written ({os.strerror(number)}); "
                f"{remedy or advice(target)}"
            ) from error
        raise


def _culprit(error: Exception, target: Path) -> object:
    """The file that an error names, else the target."""
    named = error.filename if isinstance(error, OSError) else None
    return named if isinstance(named, str) else target


def _error_number(error: BaseException) -> int:
    """Errno of an OSError, or of one that safetensors or torch hid in a message; 0 if none."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno:
            return seen.errno
        text = str(seen)
        for number in _FULL | _DENIED:
            if f"os error {number})" in text:
                return number
        if "PytorchStreamWriter failed writing" in text or "unexpected pos" in text:
            return errno.ENOSPC
        seen = seen.__cause__ or seen.__context__
    return 0


def _refuse_existing(out: Path, *, force: bool, directory: bool) -> None:
    if not os.path.lexists(out):
        return
    if not force:
        raise InputRefused(f"{out}: already exists; name another --out, or pass --force")
    if out.is_symlink() or (out.is_dir() is not directory):
        kind = "directory" if directory else "file"
        raise InputRefused(f"{out}: exists and is not a plain {kind}; --force replaces only those")
    if directory:
        refuse_foreign(out)


def refuse_foreign(out: Path) -> None:
    """Refuse to replace a directory that hyperinterp did not write; an empty one may go.

    Raises:
        InputRefused: there are files in it, and none is a manifest of ours.
    """
    if any(out.iterdir()) and not (out / MANIFEST_NAME).is_file():
        raise InputRefused(
            f"{out}: holds files that hyperinterp did not write; --force will not delete them"
        )


def partial_name(out: Path) -> Path:
    """A new hidden sibling of `out` that says which process of which host writes it."""
    owner = f"{socket.gethostname()}-{os.getpid()}"
    return out.parent / f".{out.name}.{owner}-{secrets.token_hex(4)}.partial"


def sweep_partials(out: Path) -> None:
    """Remove what dead processes of this host left behind for the same `out`."""
    prefix = f".{out.name}.{socket.gethostname()}-"
    for path in out.parent.glob(".*.partial"):
        if path.name.startswith(prefix):
            pid = path.name[len(prefix) :].partition("-")[0]
            if not re.fullmatch("[0-9]{1,9}", pid) or alive(int(pid)):
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def alive(pid: int) -> bool:
    """Return whether a process of this host runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def move_into_place(partial: Path, out: Path, *, force: bool) -> None:
    """Rename `partial` to `out` in one step.

    With `force` and a directory at `out`, the two are exchanged where the system can: the old one
    then lies at `partial`, for the caller to remove.

    Raises:
        InputRefused: `out` is there and `force` is not given.
    """
    if not force:
        if _renameat2(partial, out, _RENAME_NOREPLACE):
            return
        if os.path.lexists(out):
            raise InputRefused(f"{out}: already exists; name another --out, or pass --force")
        partial.rename(out)
        return
    if not out.is_dir():
        partial.replace(out)
        return
    if _renameat2(partial, out, _RENAME_EXCHANGE):
        return  # the old directory now has the partial's name and is removed by the caller
    previous = out.with_name(f".{out.name}.previous")
    shutil.rmtree(previous, ignore_errors=True)
    out.rename(previous)
    try:
        partial.rename(out)
    except BaseException:
        previous.rename(out)
        raise
    shutil.rmtree(previous, ignore_errors=True)


def _renameat2(old: Path, new: Path, flags: int) -> bool:
    """Linux's rename with flags; False where it does not exist or the file system lacks it."""
    try:
        call = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return False
    if call(_AT_FDCWD, os.fsencode(old), _AT_FDCWD, os.fsencode(new), flags) == 0:
        return True
    number = ctypes.get_errno()
    if number == errno.EEXIST:
        raise InputRefused(f"{new}: already exists; name another --out, or pass --force")
    if number in (errno.EINVAL, errno.ENOSYS, errno.ENOENT):
        return False
    raise OSError(number, os.strerror(number), str(new))
