"""Find the variable that names another place for a path that cannot be used."""

import os
import re
import tempfile
from contextlib import suppress
from pathlib import Path

_HOME = re.compile(r"(--[a-z][a-z-]*=)?(~[^/]*(?:/.*)?)", flags=re.DOTALL)


def expanded(argument: str) -> str:
    """An argument of the command line with `~` at the beginning of its path made a directory.

    A shell does that for `--out ~/x` and not for `--out=~/x`.
    """
    found = _HOME.fullmatch(argument)
    if found is not None:
        with suppress(RuntimeError):  # a user that is not known: the name is left as it is
            return (found[1] or "") + str(Path(found[2]).expanduser())
    return argument


def remedy(path: str | os.PathLike[str] | None) -> str:
    """Return a way out for a path that cannot be written or is full, e.g. `set TMPDIR`."""
    if path is None:
        return "set HYPERINTERP_CACHE, HF_HOME and TMPDIR to directories that can be written"
    real = Path(os.path.realpath(os.fspath(path)))
    for variable, places in _places():
        if any(real.is_relative_to(os.path.realpath(place)) for place in places):
            return f"set {variable} to a directory with space that can be written"
    return "choose another place, or free some space there"


def _places() -> list[tuple[str, list[Path]]]:
    """Variables and the directories that they stand for, the more special ones first."""

    def named(*variables: str) -> list[Path]:
        found = (os.environ.get(variable) for variable in variables)
        return [Path(expanded(place)) for place in found if place]

    home = Path(expanded("~"))
    cache = named("XDG_CACHE_HOME") or [home / ".cache"]
    hub = named("HF_HOME") or [cache[0] / "huggingface"]
    temporary = named("TMPDIR")
    with suppress(FileNotFoundError):
        temporary.append(Path(tempfile.gettempdir()))
    return [
        ("HYPERINTERP_CACHE", named("HYPERINTERP_CACHE") or [cache[0] / "hyperinterp"]),
        ("HF_HOME", hub + named("HF_HUB_CACHE", "HF_DATASETS_CACHE", "HF_XET_CACHE")),
        ("TMPDIR", temporary),
        ("XDG_CACHE_HOME", cache),
        ("HOME", [home]),
    ]
