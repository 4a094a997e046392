"""Directories that one kind of command keeps its results in, and no other."""

from collections.abc import Collection
from fnmatch import fnmatch
from pathlib import Path

from hyperinterp.checkpoints.files import check_place
from hyperinterp.errors import InputRefused


def check_folder(out: Path, what: str, own: Collection[str]) -> None:
    """Refuse, before any work, a directory that holds something else.

    Several commands may begin in one directory at the same time: what one of them makes first, its
    lock or a hidden file half written, is no reason for another one to refuse.

    Args:
        out: the directory, there or not.
        what: who keeps its results there, such as "sweep".
        own: names of files that only such a command makes; with one of them the directory is its.

    Raises:
        InputRefused: `out` is no directory, has files but none of `own`, or cannot be made.
        OutOfResources: the disk is full.
    """
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise InputRefused(
            f"{out}: expected a directory for a {what}, found something else; name another --out"
        )
    found = {path.name for path in out.iterdir()} if out.is_dir() else set[str]()
    begun = {name for name in found if fnmatch(name, ".*.partial")}
    if found - begun and found.isdisjoint(own):
        raise InputRefused(
            f"{out}: expected a {what} or an empty directory, found other files; name another --out"
        )
    check_place(out / next(iter(own)))
