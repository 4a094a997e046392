"""Checkpoints and texts beside the pair: read and loaded as the roles say that claims declare."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from hyperinterp.arguments import check_arguments
from hyperinterp.claims.roles import TRAINING, Kind, Role
from hyperinterp.errors import InputRefused
from hyperinterp.harness import read_tasks
from hyperinterp.models import AnyModel, HookedModel
from hyperinterp.text import Passages, as_corpus, as_passages, builtin_passages


def given_roles(known: Iterable[Role], given: Mapping[str, Any]) -> dict[Role, Any]:
    """Return what was given, by role: a tuple where a role may have several.

    Args:
        known: every role that a claim declares.
        given: by the role's argument in Python; None and empty lists count as not given.

    Raises:
        InputRefused: no claim declares such a role; counts that are no counts.
    """
    roles = {role.keyword: role for role in known}
    for name in given:
        if name not in roles:
            raise InputRefused(
                f"compare: expected its own arguments or one of the roles {', '.join(roles)}, "
                f"found {name!r}; leave it out, or install the package whose claim takes it"
            )
    found: dict[Role, Any] = {}
    for name, role in roles.items():
        value = given.get(name)
        if role.several:
            value = tuple(value) if isinstance(value, list | tuple) else (value,)
            value = None if value in ((), (None,)) else value
        if role.kind is Kind.COUNTS:
            check_arguments(frequencies=value)
        if value is not None:
            found[role] = value
    return found


def read_texts(given: Mapping[Role, Any], **fields: Any) -> dict[str, Any]:
    """Return what stands in the roles of texts, counts and tasks, by the role's name.

    Args:
        given: what `given_roles` returned.
        fields: `split` and `column`, as in `as_passages`.

    Raises:
        InputRefused: a text that cannot be read, or a task that cannot be loaded.
    """
    read: dict[Kind, Callable[[Role, Any], Any]] = {
        Kind.PASSAGES: lambda role, text: as_passages(text, what=role.keyword, **fields),
        Kind.CORPUS: lambda _, text: as_corpus(text, **fields),
        Kind.COUNTS: lambda _, table: table,
        Kind.TASKS: lambda _, names: read_tasks(names),
    }
    return {
        role.name: read[role.kind](role, value)
        for role, value in given.items()
        if role.kind in read
    }


def checkpoints(given: Mapping[Role, Any], kind: Kind) -> dict[str, AnyModel]:
    """Return what is to be loaded, by name: "judge", or "judge 0", "judge 1" where it is several.

    Args:
        given: what `given_roles` returned.
        kind: of roles: `Kind.CHECKPOINT` or `Kind.READER`.
    """
    found: dict[str, AnyModel] = {}
    for role, value in given.items():
        if role.kind is not kind:
            continue
        if role.several:
            found |= {f"{role.name} {number}": model for number, model in enumerate(value)}
        else:
            found[role.name] = value
    return found


def known_training(fitted: HookedModel) -> Passages | None:
    """Return the built-in passages when a checkpoint says that it was trained on just those."""
    data = fitted.provenance.get("data")
    if not isinstance(data, dict):
        return None
    passages, said = builtin_passages("train"), data.get("passages")
    counts = {len(passages), said if isinstance(said, int) else 0}
    for count in counts:
        if 0 < count <= len(passages) and passages.head(count).sha256 == data.get("sha256"):
            return passages.head(count)
    return None


def with_known_training(texts: dict[str, Any], fitted: HookedModel) -> dict[str, Any]:
    """Add the passages that the fitted model says it was trained on, where none were given."""
    if TRAINING.name in texts:
        return texts
    known = known_training(fitted)
    return texts if known is None else texts | {TRAINING.name: known}
