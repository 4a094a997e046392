"""Checks of the public functions' arguments: each refused in one line, before any work."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hyperinterp.distributed import Processes
from hyperinterp.errors import InputRefused
from hyperinterp.frequencies import Frequencies
from hyperinterp.ranges import at_least, check_seed, of_kind
from hyperinterp.sizes import Sizes

_KINDS: Mapping[str, tuple[Any, str]] = {
    "frequencies": (
        (Frequencies, str, Path),
        "what hyperinterp.read_frequencies returns, or the path of a table",
    ),
    "sizes": (Sizes, "a hyperinterp.Sizes"),
    "resume_dir": ((str, Path), "the path of a directory"),
    "out": ((str, Path), "the path of a directory"),
    "run": ((str, Path), "the directory of a training run"),
    "processes": (Processes, "what hyperinterp.distributed.join returns"),
    "progress": (Callable, "a function"),
    "on_progress": (Callable, "a function"),
    "preset": (str, "the name of a preset"),
    "device": (str, "auto, cpu, cuda or cuda:1"),
    "revision": (str, "a commit, branch or tag"),
    "subfolder": (str, "a folder inside the repository or directory"),
}
_FLAGS = ("force", "resume", "fsdp", "base_if_adapter")


def check_arguments(**given: Any) -> None:
    """Refuse arguments of a wrong kind by their names; None passes where it may be left out.

    Args:
        given: arguments of a public function, of those that this module knows.

    Raises:
        InputRefused: names the argument, what it may be, and what was found.
    """
    for name, value in given.items():
        if name in _FLAGS:
            of_kind(name, value, bool, "True or False")
        elif name == "seed":
            check_seed(value)
        elif name == "batch_size":
            at_least("batch size", value, 1)
        elif value is not None or name in ("out", "run", "processes", "progress", "preset"):
            kind, words = _KINDS[name]
            of_kind(name, value, kind, words)


def check_numbers(name: str, given: Any) -> list[int]:
    """Return whole numbers given as a list or tuple.

    Raises:
        InputRefused: anything else.
    """
    if not isinstance(given, list | tuple):
        raise InputRefused(
            f"{name}: expected a list of whole numbers, found {given!r:.80}; "
            "give one such as [0, 1]"
        )
    for value in given:
        at_least(name, value, 0)
    return list(given)


def check_texts(name: str, given: Any) -> list[str]:
    """Return texts given as a list or tuple.

    Raises:
        InputRefused: anything else.
    """
    if not isinstance(given, list | tuple) or not all(isinstance(item, str) for item in given):
        raise InputRefused(
            f"{name}: expected a list of texts, found {given!r:.80}; give one such as "
            '["last:5", "first:5"]'
        )
    return list(given)
