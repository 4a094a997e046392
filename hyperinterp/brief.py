"""Dataclasses that show themselves in a line or two."""

from dataclasses import fields
from typing import Any

_LONGEST, _WORDS, _FEW = 240, 40, 4


class Brief:
    """A dataclass whose `repr` is a line or two: collections are counted and numbers rounded.

    Equality, hash and JSON stay those of all figures. A subclass may write its own `__repr__`.
    """

    def __init_subclass__(cls, **more: Any) -> None:
        super().__init_subclass__(**more)
        if "__repr__" not in vars(cls):
            cls.__repr__ = Brief.__repr__  # before `dataclass` would write one of all figures

    def __repr__(self) -> str:
        named = (
            f"{item.name}={_shown(getattr(self, item.name))}"
            for item in fields(self)  # type: ignore[arg-type]
        )
        return f"{type(self).__name__}({_cut(', '.join(named), _LONGEST)})"

    def inside(self) -> str:
        """Return the form in which it is shown inside another one."""
        return f"{type(self).__name__}(…)"


def rounded(value: float) -> str:
    """A number with four significant digits."""
    return f"{value:.4g}"


def _shown(value: Any) -> str:
    if isinstance(value, Brief):
        return value.inside()
    if isinstance(value, float):
        return rounded(value)
    if isinstance(value, str):
        return repr(_cut(str(value), _WORDS))
    if isinstance(value, dict | tuple | list):
        plain = len(value) <= _FEW and all(isinstance(item, int | float) for item in value)
        if plain and not isinstance(value, dict):
            return f"({', '.join(map(_shown, value))})"
        return f"{len(value)} items"
    return repr(value)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
