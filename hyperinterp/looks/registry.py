"""The list of measurements without a verdict, and the names by which they are asked for."""

from collections.abc import Sequence

from hyperinterp.errors import InputRefused
from hyperinterp.looks import causes, loops, weights
from hyperinterp.looks.spec import LookSpec
from hyperinterp.ranges import of_kind

LOOKS: tuple[LookSpec, ...] = (weights.LOOK, causes.LOOK, loops.LOOK)
"""Every one of them, in the order of the page."""


def chosen_looks(names: str | Sequence[str] | None) -> tuple[LookSpec, ...]:
    """Return those of these names, separated by commas; none for None.

    Args:
        names: slugs.

    Raises:
        InputRefused: a name that none of them has.
    """
    if names is None:
        return ()
    parts = names.split(",") if isinstance(names, str) else names
    of_kind("also", parts, (list, tuple, set), f"names such as {LOOKS[0].slug}")
    asked = {str(part).strip().lower() for part in parts if str(part).strip()}
    unknown = sorted(asked - {look.slug for look in LOOKS})
    if unknown or not asked:
        raise InputRefused(
            f"also: expected one of {listed_looks()}, found {', '.join(unknown) or 'none'}"
        )
    return tuple(look for look in LOOKS if look.slug in asked)


def listed_looks() -> str:
    """Return the names that they go by."""
    return ", ".join(look.slug for look in LOOKS)
