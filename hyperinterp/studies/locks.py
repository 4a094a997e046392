"""One command per study, or per share of it, and one per cell: the system lets a dead one's go."""

from collections.abc import Iterator
from contextlib import contextmanager

from hyperinterp.checkpoints.locks import Timeout, lock_file
from hyperinterp.errors import InputRefused
from hyperinterp.studies.cells import Cell, Places, Share


@contextmanager
def held(places: Places, share: Share | None) -> Iterator[None]:
    """Hold a study, or a share of it.

    Raises:
        InputRefused: another command holds it.
    """
    name = "whole" if share is None else f"{share.number}-of-{share.of}"
    lock = lock_file(places.out / "locks" / name)
    try:
        lock.acquire()
    except Timeout as error:
        what = "study" if share is None else f"share {share.number}/{share.of} of the study"
        raise InputRefused(
            f"{places.out}: expected no other command on this {what}, found one; wait for it, or "
            "name another --out"
        ) from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def held_cell(places: Places, cell: Cell) -> Iterator[bool]:
    """Hold one cell; False where another command has it."""
    lock = lock_file(places.out / "locks" / cell.name)
    try:
        lock.acquire()
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


@contextmanager
def gathering(places: Places) -> Iterator[None]:
    """Wait for other commands that write the study's own files, and hold them."""
    lock = lock_file(places.out / "locks" / "gathering")
    with lock.acquire(timeout=-1):
        yield
