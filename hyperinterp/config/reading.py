"""A file of options: read against what a command takes, and written with every option filled in."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, is_dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from hyperinterp.config.option import Kind, Spec
from hyperinterp.config.yamlfile import as_yaml, read_mapping
from hyperinterp.errors import InputRefused


def read_options(path: str | Path, specs: Iterable[Spec]) -> dict[str, Any]:
    """Read the options of a YAML file: each alone, or in the group that it belongs to.

    Args:
        path: the file.
        specs: every option that it may hold.

    Returns:
        What stands in the file, by the option's name; values as Python takes them.

    Raises:
        InputRefused: a file that cannot be read; an unknown option, one that stands twice, in
            another group, of another kind or out of its range.
    """
    known = {spec.name: spec for spec in specs}
    groups = {spec.group for spec in known.values()}
    found: dict[str, Any] = {}
    for key, value in read_mapping(path).items():
        name = _plain(key)
        if name in groups and name not in known:
            if value is not None and not isinstance(value, dict):
                raise InputRefused(
                    f"{path}: {name}: expected a mapping of options, found {_shown(value)}; write "
                    "one `option: value` a line below it"
                )
            inside = value or {}
        else:
            inside, name = {key: value}, ""
        for inner, given in inside.items():
            spec = _known(path, _plain(inner), known, name, groups)
            if spec.name in found:
                raise InputRefused(
                    f"{path}: expected each option once, found {spec.name} twice; remove one"
                )
            found[spec.name] = _value(path, spec, given)
    return found


def _plain(key: Any) -> str:
    """A key of the file as names are written in Python; what cannot be printed is escaped."""
    word = str(key).strip().lstrip("-").replace("-", "_")[:80]
    return word if word.isprintable() else ascii(word)


def _known(
    path: str | Path, name: str, known: Mapping[str, Spec], group: str, groups: set[str]
) -> Spec:
    """The option of a name; refuses an unknown one, and one of another group."""
    spec = known.get(name)
    if spec is not None and group in ("", spec.group):
        return spec
    if spec is not None:
        raise InputRefused(
            f"{path}: {group}.{name}: expected {name} in {spec.group}; move it there"
        )
    flags = {_plain(spec.flag): spec.name for spec in known.values()}
    words = [*known, *flags, *(groups if not group else ())]
    way_out = nearest(name, words, flags)
    where = f"{group}.{name}" if group else name
    raise InputRefused(f"{path}: {where}: expected an option, found none of that name; {way_out}")


def nearest(name: str, words: Iterable[str], flags: Mapping[str, str] | None = None) -> str:
    """Return what to do about an unknown name: to write the nearest one, where one is near.

    Args:
        name: the unknown one.
        words: those that are known.
        flags: what some of them stand for.
    """
    near = get_close_matches(name, list(words), 1)
    return f"write {(flags or {}).get(near[0], near[0])}" if near else "leave it out"


def _value(path: str | Path, spec: Spec, given: Any) -> Any:
    """A value of a file as Python takes it.

    Raises:
        InputRefused: of another kind, or out of its range.
    """
    many = spec.kind in (Kind.WHOLES, Kind.NUMBERS)
    if many and isinstance(given, int | float) and not isinstance(given, bool):
        given = [given]
    value = tuple(given) if many and isinstance(given, list) else given
    kinds = {Kind.TEXT: str, Kind.WORDS: str | list, Kind.TABLE: str | dict}
    wanted = kinds.get(spec.kind)
    if given is None and not spec.optional:
        raise InputRefused(
            f"{path}: {spec.name}: expected {spec.allowed()}, found nothing; give a value, or "
            "leave it out"
        )
    words = not isinstance(given, list) or all(isinstance(item, str) for item in given)
    fits = wanted is None or given is None or (isinstance(given, wanted) and words)
    if not fits:
        quoted = isinstance(given, bool | int | float)
        way_out = "put it in quotes if it is text" if quoted else f"give {spec.allowed()}"
        raise InputRefused(
            f"{path}: {spec.name}: expected {spec.allowed()}, found {_shown(given)}; {way_out}"
        )
    try:
        spec.check(value)
    except InputRefused as error:
        error.args = (f"{path}: {error.args[0]}",)
        raise
    return value


def _shown(value: Any) -> str:
    kinds = {dict: "a mapping", list: "a list", type(None): "nothing"}
    return kinds.get(type(value), repr(value)[:60])


def written(values: Mapping[str, Any], specs: Iterable[Spec], title: str) -> str:
    """Return options as the text of a file that `read_options` reads back.

    Args:
        values: by the option's name; those that are not there stand with their defaults.
        specs: every option.
        title: the comment at its beginning.

    Raises:
        InputRefused: an object that no file can hold.
    """
    found: dict[str, dict[str, Any]] = {}
    for spec in specs:
        value = _as_plain(spec, values.get(spec.name, spec.default))
        found.setdefault(spec.group, {})[spec.name] = value
    return f"# {' '.join(title.split())}\n{as_yaml(found)}"


def _as_plain(spec: Spec, value: Any) -> Any:
    """A value as YAML has it."""
    if isinstance(value, Path):
        return str(value)
    if spec.kind is Kind.TABLE and is_dataclass(value) and not isinstance(value, type):
        return {name: _as_plain(spec, item) for name, item in asdict(value).items()}
    if isinstance(value, Mapping):
        return {str(name): _as_plain(spec, item) for name, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [_as_plain(spec, item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise InputRefused(
        f"{spec.name}: expected {spec.kind} that a file can hold, found {type(value).__name__}; "
        "give it by its name or path"
    )
