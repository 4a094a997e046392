"""Options for further checkpoints and texts, made from the roles that claims declare."""

import inspect
from collections.abc import Callable, Iterable
from typing import Annotated, Any

import typer

from hyperinterp.claims import registry
from hyperinterp.claims.roles import Role

Command = Callable[..., None]


def with_roles(roles: Iterable[Role]) -> Callable[[Command], Command]:
    """Give a command that takes `**roles` one option for each role, after its arguments.

    Args:
        roles: what the options are made from.
    """

    def decorate(command: Command) -> Command:
        signature = inspect.signature(command)
        fixed = [it for it in signature.parameters.values() if it.kind is not it.VAR_KEYWORD]
        only = inspect.Parameter.KEYWORD_ONLY
        added = [
            inspect.Parameter(role.keyword, only, default=None, annotation=_annotation(role))
            for role in roles
        ]
        named = [item for item in fixed if item.default is item.empty]
        rest = [item.replace(kind=item.KEYWORD_ONLY) for item in fixed if item not in named]
        vars(command)["__signature__"] = signature.replace(parameters=[*named, *added, *rest])
        command.__annotations__ |= {item.name: item.annotation for item in added}
        return command

    return decorate


def _annotation(role: Role) -> Any:
    """The type of a role's option, and its help."""
    words = f"{role.words} ({registry.needing(role)}){'; may be repeated' * role.several}."
    option = typer.Option(role.option, metavar=role.kind.value, help=words, rich_help_panel="Roles")
    return Annotated[list[str] | None if role.several else str | None, option]
