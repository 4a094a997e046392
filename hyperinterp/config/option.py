"""One statement of an option: its name, type, default, range and help stand in a dataclass field.

The option of the command line, the key of a YAML file and the argument in Python come from it.
"""

from dataclasses import dataclass, fields
from enum import StrEnum
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, ClassVar, TypeVar, Union, get_args, get_origin, get_type_hints

from hyperinterp.ranges import at_least, check_seed, each, of_kind, one_of, positive


class Kind(StrEnum):
    """Kind of value that an option has, in the words that users are told."""

    FLAG = "true or false"
    WHOLE = "a whole number"
    NUMBER = "a number"
    TEXT = "text"
    WHOLES = "whole numbers"
    NUMBERS = "numbers"
    WORDS = "words"
    TABLE = "a table"


@dataclass(frozen=True)
class Option:
    """Help and range of a config's field, beside its name, type and default.

    Attributes:
        help: one sentence, for the command line and the pages.
        least: smallest whole number, of a list each.
        seed: a whole number that every random generator takes.
        zero: a number may be 0; it has to lie above 0 otherwise.
        choices: the words that are taken.
        flag: its name on the command line, where it is not the field's.
        kind: of a field that takes objects in Python: what it is in a file.
        filed: the command line does not have it, a file does.
    """

    help: str
    least: int | None = None
    seed: bool = False
    zero: bool = False
    choices: tuple[str, ...] = ()
    flag: str = ""
    kind: Kind | None = None
    filed: bool = False


@dataclass(frozen=True)
class Spec:
    """One option, as its field states it.

    Attributes:
        name: of the field, of the argument in Python, and of the key in a file.
        group: the section of a file and of the help that it stands in.
        kind: what its value is.
        default: its value where none is given.
        option: its range and help.
        optional: None is allowed.
        free: Python takes objects too, which are checked where they are used.
    """

    name: str
    group: str
    kind: Kind
    default: Any
    option: Option
    optional: bool = False
    free: bool = False

    @property
    def flag(self) -> str:
        """Its name on the command line."""
        return f"--{self.option.flag or self.name.replace('_', '-')}"

    def check(self, value: Any) -> None:
        """Refuse a value of another kind or out of its range.

        Raises:
            InputRefused: names the option, what was expected and what was found.
        """
        if value is None and self.optional:
            return
        name, option = self.name, self.option
        if self.kind is Kind.FLAG:
            of_kind(name, value, bool, "True or False")
        elif self.kind is Kind.WHOLE:
            self._whole(value)
        elif self.kind is Kind.NUMBER:
            positive(name, value, or_zero=option.zero)
        elif self.kind is Kind.WHOLES:
            for item in each(name, value, "whole numbers"):
                self._whole(item)
        elif self.kind is Kind.NUMBERS:
            for item in each(name, value):
                positive(name, item, or_zero=option.zero)
        elif option.choices:
            one_of(name, value, option.choices)
        elif self.kind is Kind.TEXT and not self.free:
            of_kind(name, value, str, "text")

    def _whole(self, value: Any) -> None:
        if self.option.seed:
            check_seed(value, self.name)
        else:
            at_least(self.name, value, self.option.least or 0)

    def allowed(self) -> str:
        """Return the values that are taken, in words: `one of a, b`, `a number above 0`."""
        option = self.option
        if option.choices:
            return f"one of {', '.join(option.choices)}"
        if self.kind in (Kind.NUMBER, Kind.NUMBERS):
            return f"{self.kind} {'of at least 0' if option.zero else 'above 0'}"
        if self.kind in (Kind.WHOLE, Kind.WHOLES) and not option.seed:
            return f"{self.kind} of at least {option.least or 0}"
        return str(self.kind)


C = TypeVar("C", bound="Config")


@dataclass(frozen=True)
class Config:
    """Options that belong together: each a field `Annotated[type, Option(...)]`.

    A config inherits its groups, which name themselves in `GROUP`: Python writes `Config(seed=1)`,
    a file `measuring: {seed: 1}` or `seed: 1` alone.

    Raises:
        InputRefused: a value of another kind or out of its range.
    """

    GROUP: ClassVar[str] = ""

    def __post_init__(self) -> None:
        for spec in specs_of(type(self)):
            spec.check(getattr(self, spec.name))


def described(kind: type[C]) -> type[C]:
    """Add every option of a config to its docstring, in the words of its help."""
    told = (kind.__doc__ or "").partition("\n    Raises:")
    told = told if "Attributes:" in told[0] else (f"{told[0]}\n    Attributes:\n", *told[1:])
    lines = "".join(f"        {spec.name}: {spec.option.help}\n" for spec in specs_of(kind))
    kind.__doc__ = told[0].rstrip("\n") + "\n" + lines + "".join(told[1:])
    return kind


@cache
def specs_of(kind: type[Config]) -> tuple[Spec, ...]:
    """Return every option of a config, group by group."""
    hints = get_type_hints(kind, include_extras=True)
    groups = {
        name: owner.GROUP
        for owner in reversed(kind.__mro__)
        if issubclass(owner, Config)
        for name in vars(owner).get("__annotations__", {})
        if name != "GROUP"
    }
    stated = [item for item in fields(kind) if get_origin(hints[item.name]) is Annotated]
    found = [_spec(item.name, groups[item.name], item.default, hints[item.name]) for item in stated]
    order = list(dict.fromkeys(groups.values()))
    return tuple(sorted(found, key=lambda spec: order.index(spec.group)))


def _spec(name: str, group: str, default: Any, hint: Any) -> Spec:
    kind, option = get_args(hint)
    parts = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    plain = frozenset(part for part in parts if part is not NoneType)
    return Spec(
        name=name,
        group=group,
        kind=option.kind or _KINDS[plain],
        default=default,
        option=option,
        optional=NoneType in parts or default is None,
        free=option.kind is not None,
    )


_KINDS: dict[frozenset[Any], Kind] = {
    frozenset({bool}): Kind.FLAG,
    frozenset({int}): Kind.WHOLE,
    frozenset({float, int}): Kind.NUMBER,
    frozenset({str}): Kind.TEXT,
    frozenset({tuple[int, ...]}): Kind.WHOLES,
    frozenset({tuple[float, ...]}): Kind.NUMBERS,
}
