"""Options of a command that its config states: on the command line, or in a file of --config."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from hyperinterp.cli.options import numbers
from hyperinterp.config import Config, Kind, Spec, specs_of, written

Command = Callable[..., None]

ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config", help="YAML file of these options; one on the command line goes before it."
    ),
]
CONFIG_NAME = "config.yaml"
"""File beside the results that holds every option of the command that made them."""


def with_options(kind: type[Config], **words: str) -> Callable[[Command], Command]:
    """Give a command that takes `context` and `**given` every option of a config.

    Args:
        kind: the config.
        words: help of single options that tells more than the config knows.
    """

    def decorate(command: Command) -> Command:
        signature = inspect.signature(command)
        own = [it for it in signature.parameters.values() if it.kind is not it.VAR_KEYWORD]
        only = inspect.Parameter.KEYWORD_ONLY
        added = [
            inspect.Parameter(
                spec.name,
                only,
                default=_default(spec),
                annotation=_annotation(spec, words.get(spec.name)),
            )
            for spec in specs_of(kind)
            if not spec.option.filed
        ]
        own[0] = own[0].replace(annotation=typer.Context)  # Typer hands over one of its bases
        named = [item for item in own if item.default is item.empty]
        others = [item.replace(kind=only) for item in own if item not in named]
        shown = [*named, *added, *others]
        vars(command)["__signature__"] = signature.replace(parameters=shown)
        command.__annotations__ |= {item.name: item.annotation for item in (own[0], *added)}
        return command

    return decorate


def _annotation(spec: Spec, words: str | None) -> Any:
    kinds = {Kind.FLAG: bool, Kind.WHOLE: int, Kind.NUMBER: float}
    kind: Any = kinds.get(spec.kind, str)
    flags = [f"{spec.flag}/--no-{spec.flag[2:]}" if kind is bool else spec.flag]
    option = typer.Option(
        *flags, help=words or spec.option.help, rich_help_panel=spec.group.capitalize() or None
    )
    return Annotated[kind | None if _default(spec) is None else kind, option]


def _default(spec: Spec) -> Any:
    """The default as the command line shows it: lists with commas."""
    if isinstance(spec.default, tuple):
        return ",".join(map(str, spec.default)) or None
    return spec.default


def given_options(context: Any, specs: Iterable[Spec], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that stand on the command line, as Python takes them.

    Args:
        context: of the command.
        specs: the options.
        values: what the command was called with.

    Raises:
        InputRefused: a list of numbers that holds something else.
    """
    parse: dict[Kind, type] = {Kind.WHOLES: int, Kind.NUMBERS: float}
    found: dict[str, Any] = {}
    for spec in specs:
        source = context.get_parameter_source(spec.name)
        if source is None or source.name != "COMMANDLINE":
            continue
        value = values[spec.name]
        kind = parse.get(spec.kind)
        found[spec.name] = value if kind is None else numbers(spec.flag, value, kind)
    return found


def config_text(command: str, values: Mapping[str, Any], specs: Iterable[Spec]) -> bytes:
    """Return the file that makes a command do the same again.

    Args:
        command: the command with its arguments, for the comment at the beginning.
        values: every option by name.
        specs: the options.
    """
    title = f"{command} --config {CONFIG_NAME}"
    return written(values, specs, ascii(title)[1:-1]).encode()
