"""The spelling of checkpoint names: `owner/name@revision:folder`, and near misses."""

import difflib
import os
import re
from dataclasses import dataclass
from pathlib import Path

from hyperinterp.errors import InputRefused

_HUB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,95}(/[A-Za-z0-9][A-Za-z0-9_.\-]{0,95})?")
_REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-/+]{0,199}")
_FOLDER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]*(/[A-Za-z0-9_][A-Za-z0-9_.\-]*)*")
_MAX_LISTED = 2000


@dataclass(frozen=True)
class Spelled:
    """A name in its parts.

    Attributes:
        repository: What stands before `@` and `:`.
        revision: A commit, branch or tag; None for the default branch.
        subfolder: A folder inside; None for the top.
    """

    repository: str
    revision: str | None = None
    subfolder: str | None = None

    def __str__(self) -> str:
        """Return the one spelling of this name."""
        revision = "" if self.revision is None else f"@{self.revision}"
        return self.repository + revision + ("" if self.subfolder is None else f":{self.subfolder}")


def is_hub_id(text: str) -> bool:
    """Return whether a text is spelled like a Hub id (`name` or `owner/name`)."""
    return bool(_HUB_ID.fullmatch(text)) and ".." not in text and "--" not in text


def split_name(text: str) -> Spelled:
    """Split `owner/name@revision:folder`; a text of another form is all repository."""
    head, colon, subfolder = text.partition(":")
    repository, at, revision = head.partition("@")
    whole = (not colon or subfolder) and (not at or revision)
    if not (colon or at) or not whole or not is_hub_id(repository):
        return Spelled(text)
    return Spelled(repository, revision or None, subfolder or None)


def merged(name: Spelled, revision: str | None, subfolder: str | None) -> Spelled:
    """Add a revision and a subfolder that were given beside a name, and check both.

    Raises:
        InputRefused: One is malformed, or the name carries another one.
    """
    pairs = (("revision", name.revision, revision), ("subfolder", name.subfolder, subfolder))
    for option, inside, beside in pairs:
        if inside is not None and beside is not None and inside != beside:
            raise InputRefused(
                f"{name}: names the {option} {inside!r}, found {beside!r:.80} beside it; "
                "give one of them"
            )
    found = Spelled(
        name.repository,
        name.revision if revision is None else revision,
        name.subfolder if subfolder is None else subfolder.strip("/"),
    )
    if found.revision is not None and not (
        _REVISION.fullmatch(found.revision) and ".." not in found.revision
    ):
        raise InputRefused(
            f"{name.repository}: expected a commit, branch or tag as its revision, "
            f"found {found.revision!r:.80}; write it as main, v1.0 or a commit's digest"
        )
    if found.subfolder is not None and not (
        len(found.subfolder) <= 400
        and _FOLDER.fullmatch(found.subfolder)
        and ".." not in found.subfolder.split("/")
    ):
        raise InputRefused(
            f"{name.repository}: expected the subfolder as a plain relative path, "
            f"found {found.subfolder!r:.80}; write it as checkpoints/last"
        )
    return found


def close_to(wanted: str, names: list[str], count: int = 3) -> list[str]:
    """Return the names that a mistyped one may have meant, nearest first."""
    lowered = {name.lower(): name for name in reversed(names)}
    found = difflib.get_close_matches(wanted.lower(), list(lowered), count, cutoff=0.6)
    return [lowered[name] for name in found]


def near_paths(path: Path) -> list[str]:
    """Return existing paths that a mistyped one may have meant, spelled as it was."""
    missing = path.parts
    for index in range(len(missing)):
        folder = Path(*missing[:index]) if index else Path()
        part, rest = missing[index], missing[index + 1 :]
        if (folder / part).exists() or part in (os.sep, "..", "."):
            continue
        try:
            entries = sorted(child.name for child in folder.iterdir())[:_MAX_LISTED]
        except OSError:
            return []
        tried = [folder / name / Path(*rest) for name in close_to(part, entries)]
        return [str(found) for found in tried if found.exists()]
    return []


def meant(names: list[str]) -> str:
    """Return a clause that offers names instead of a mistyped one; empty without any."""
    return f"; did you mean {' or '.join(names)}?" if names else ""
