"""Options of a command from a YAML file, where no config states them."""

from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, get_args, get_type_hints

import typer

from hyperinterp.config import read_mapping
from hyperinterp.errors import InputRefused

NOT_FILED = ("config", "out", "force", "resume", "json", "help")
"""What a command is told on the command line alone."""


def _from_file(context: Any, path: Path | None) -> Path | None:
    """Let the options of a file go before the defaults, and after the command line."""
    if path is not None and not context.resilient_parsing:
        context.default_map = file_options(context, path)
    return path


KINDS: dict[type, tuple[tuple[type, ...], str]] = {
    bool: ((bool,), "true or false"),
    int: ((int,), "a whole number"),
    float: ((int, float), "a number"),
    str: ((str, int, float), "a text, or a list of them"),
}
"""By the type of an option: what a file may give it, and what that is called."""

FiledConfig = Annotated[
    Path | None,
    typer.Option(
        callback=_from_file,
        is_eager=True,
        help="YAML file of these options; one on the command line goes before it.",
    ),
]


def file_options(context: Any, path: Path) -> dict[str, Any]:
    """Return the options of a file as the command line would give them, by their parameter.

    Args:
        context: of the command.
        path: the file: one option a line, by its name, with hyphens or underscores; lists for what
            the command line separates by commas.

    Raises:
        InputRefused: the file cannot be read, or an option is unknown, stands there twice, or
            cannot have its value; names it.
    """
    kinds = get_type_hints(context.command.callback)
    known: dict[str, Any] = {}
    for parameter in context.command.params:
        if parameter.param_type_name == "option" and parameter.name not in NOT_FILED:
            names = (parameter.name, *(option.strip("-") for option in parameter.opts))
            known |= {str(name).replace("-", "_"): parameter for name in names}
    found: dict[str, Any] = {}
    for given, value in read_mapping(path).items():
        name = str(given).replace("-", "_")
        if name not in known:
            near = get_close_matches(name, known, 1)
            way_out = f"write {near[0]}" if near else "leave it out"
            raise InputRefused(f"{path}: expected an option, found {given!r:.60}; {way_out}")
        parameter = known[name]
        if parameter.name in found:
            raise InputRefused(f"{path}: expected {name} once, found it again; leave one out")
        found[parameter.name] = _told(f"{path}: {given}", kinds[parameter.name], value)
    return found


def _told(place: str, kind: Any, value: Any) -> Any:
    """A value of a file as text, or the flag that it is."""
    allowed, words = KINDS[next((it for it in KINDS if it in (kind, *get_args(kind))), str)]
    items = value if isinstance(value, list) and allowed is KINDS[str][0] else [value]
    if not all(type(item) in allowed for item in items):
        raise InputRefused(f"{place}: expected {words}, found {value!r:.60}; write it so")
    return value if isinstance(value, bool) else ",".join(map(str, items))
