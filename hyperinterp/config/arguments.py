"""Options as the arguments of a function: a config, a file, or each by its own name."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from hyperinterp.config.option import C, Config, Spec, specs_of
from hyperinterp.config.reading import nearest, read_options
from hyperinterp.errors import InputRefused

F = TypeVar("F", bound=Callable[..., Any])


def takes(kind: type[Config]) -> Callable[[F], F]:
    """Show the options of a config as arguments of a function that takes `**options`.

    They stand in its signature, where editors and notebooks look, and in its docstring.

    Args:
        kind: the config.
    """
    specs = specs_of(kind)

    def decorate(function: F) -> F:
        signature = inspect.signature(function)
        hints = kind.__init__.__annotations__
        keyword = inspect.Parameter.KEYWORD_ONLY
        shown = [
            inspect.Parameter(
                spec.name, keyword, default=spec.default, annotation=_type(hints, spec)
            )
            for spec in specs
        ]
        *own, rest = signature.parameters.values()
        vars(function)["__signature__"] = signature.replace(parameters=[*own, *shown, rest])
        lines = "".join(f"        {spec.name}: {spec.option.help}\n" for spec in specs)
        before, mark, after = (function.__doc__ or "").partition("        options:")
        function.__doc__ = before + lines + mark + after
        return function

    return decorate


def _type(hints: Mapping[str, Any], spec: Spec) -> Any:
    """The type of an option without what is said of it."""
    hint = hints.get(spec.name, Any)
    return getattr(hint, "__origin__", hint)


def settled(
    kind: type[C],
    config: Any,
    options: Mapping[str, Any],
    specs: Sequence[Spec],
) -> dict[str, Any]:
    """Return the options that were given: those of a config or file, and single ones before them.

    Args:
        kind: the config.
        config: one, or the path of a file.
        options: single ones, by name.
        specs: every option that a file may hold.

    Raises:
        InputRefused: a file or value that cannot be used.
    """
    if config is None:
        found: dict[str, Any] = {}
    elif isinstance(config, kind):
        found = {item.name: getattr(config, item.name) for item in fields(kind)}
    elif isinstance(config, str | Path):
        found = read_options(config, specs)
    else:
        raise InputRefused(
            f"config: expected a {kind.__name__} or the path of a file, found "
            f"{type(config).__name__}; give one of them"
        )
    known = {spec.name: spec for spec in specs_of(kind)}
    allowed = {item.name for item in fields(kind)} | {spec.name for spec in specs}
    for name, value in options.items():
        if name in known:
            known[name].check(value)
        elif name not in allowed:
            way_out = nearest(name, allowed)
            raise InputRefused(
                f"{name}: expected an option of {kind.__name__}, found none of that name; {way_out}"
            )
    return found | dict(options)
