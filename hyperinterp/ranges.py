"""Checks of single options: one line that says what was expected and what was found."""

import math
from collections.abc import Iterable
from typing import Any, get_args

from hyperinterp.errors import InputRefused

SEEDS = 2**32


def one_of(name: str, value: Any, allowed: Iterable[str]) -> None:
    """Refuse a word that is not among those allowed."""
    words = tuple(allowed)
    if value not in words:
        raise InputRefused(f"{name}: expected one of {', '.join(words)}, found {value!r}")


def of_kind(name: str, value: Any, kind: Any, expected: str) -> None:
    """Refuse a value of another kind; `expected` says in words what to give."""
    if not isinstance(value, kind):
        told = f"the class {value.__name__}" if isinstance(value, type) else _told(value)
        raise InputRefused(f"{name}: expected {expected}, found {told}; give {expected}")


def _told(value: Any) -> str:
    shown = " ".join(repr(value).split())
    return f"{type(value).__name__} ({shown[:40]}{'...' if len(shown) > 40 else ''})"


def at_least(name: str, value: Any, least: int) -> None:
    """Refuse what is no whole number, or one below `least`."""
    if not _whole(value) or value < least:
        raise InputRefused(f"{name}: expected a whole number of at least {least}, found {value!r}")


def positive(name: str, value: Any, *, or_zero: bool = False) -> None:
    """Refuse what is no finite number above 0, or 0 itself where that is allowed."""
    if isinstance(value, bool) or not isinstance(value, get_args(int | float)):
        raise InputRefused(f"{name}: expected a number, found {value!r}")
    if not (math.isfinite(value) and (value > 0 or (or_zero and value == 0))):
        expected = "of at least 0" if or_zero else "above 0"
        raise InputRefused(f"{name}: expected a number {expected}, found {value}")


def check_seed(value: Any, name: str = "seed") -> None:
    """Refuse a seed that not every random generator takes."""
    if not _whole(value) or not 0 <= value < SEEDS:
        raise InputRefused(
            f"{name}: expected a whole number from 0 to {SEEDS - 1}, found {value!r}"
        )


def each(name: str, values: Any, what: str = "numbers") -> Iterable[Any]:
    """The items of a tuple; refuses anything else."""
    if not isinstance(values, tuple):
        raise InputRefused(f"{name}: expected a tuple of {what}, found {values!r}; write (a, b)")
    return values


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
