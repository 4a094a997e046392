"""Options for further checkpoints and texts, made from the roles that claims declare."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from hyperinterp.claims import registry
from hyperinterp.claims.roles import Kind, Role
from hyperinterp.cli.options import Texts

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
    option = typer.Option(role.option, metavar=role.kind.value, help=words)
    return Annotated[list[str] | None if role.several else str | None, option]


def text_roles(roles: Iterable[Role]) -> tuple[str, ...]:
    """Return the names of the roles that texts stand in."""
    return tuple(role.name for role in roles if role.kind in (Kind.PASSAGES, Kind.CORPUS))


def read_roles(
    roles: Iterable[Role],
    given: Mapping[str, Any],
    texts: Texts,
    max_tokens: int | None,
    resume_dir: Path | None,
) -> dict[str, Any]:
    """Return what `hyperinterp.compare` takes for the roles that were given.

    Args:
        roles: every role.
        given: values of the options, by the role's argument in Python.
        texts: field and split of each text.
        max_tokens: tokens read of a corpus at most.
        resume_dir: folder for the sums of a corpus.

    Raises:
        InputRefused: a text or table that cannot be read; what is about a corpus without one.
    """
    from hyperinterp.errors import InputRefused
    from hyperinterp.frequencies import read_frequencies
    from hyperinterp.text import Corpus

    read: dict[Kind, Callable[[Role, Any], Any]] = {
        Kind.CORPUS: lambda role, path: Corpus(
            path, max_tokens, texts.split[role.name], texts.column[role.name]
        ),
        Kind.PASSAGES: lambda role, path: texts.read(role.name, path),
        Kind.COUNTS: lambda _, path: read_frequencies(path),
    }
    roles = [role for role in roles if given.get(role.keyword) not in (None, [])]
    if all(role.kind is not Kind.CORPUS for role in roles):
        for option, value in (("--max-tokens", max_tokens), ("--resume-dir", resume_dir)):
            if value is not None:
                raise InputRefused(f"{option}: expected --corpus beside it, found none")
    found = {role.keyword: given[role.keyword] for role in roles}
    for kind, reader in read.items():
        for role in roles:
            if role.kind is kind:
                found[role.keyword] = reader(role, given[role.keyword])
    return found
