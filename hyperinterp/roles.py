"""Checkpoints and texts beside the pair: read and loaded as the roles say that claims declare."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from hyperinterp.arguments import check_arguments
from hyperinterp.claims.roles import TRAINING, Kind, Role
from hyperinterp.config import CompareConfig, Option, Spec, nearest, settled, specs_of
from hyperinterp.config import Kind as Form
from hyperinterp.errors import InputRefused
from hyperinterp.frequencies import Frequencies, read_frequencies
from hyperinterp.harness import read_tasks
from hyperinterp.models import AnyModel, HookedModel
from hyperinterp.ranges import of_kind
from hyperinterp.sizes import sizes_of, with_sizes
from hyperinterp.text import Passages, Texts, as_corpus, builtin_passages


def compare_specs(known: Iterable[Role]) -> tuple[Spec, ...]:
    """Return every option that a file for `compare` may hold: those of its config, and roles."""
    forms = {True: Form.WORDS, False: Form.TEXT}
    roles = (
        Spec(
            role.keyword, "roles", forms[role.several], None, Option(role.words, flag=role.name),
            optional=True, free=True,
        )
        for role in known
    )  # fmt: skip
    return (*specs_of(CompareConfig), *roles)


def compare_config(
    known: Iterable[Role],
    config: Any,
    options: Mapping[str, Any],
) -> CompareConfig:
    """Return all options of a comparison.

    Args:
        known: every role that a claim declares.
        config: a config, or the path of a file.
        options: options and roles by their own names, which go before those of the config.

    Raises:
        InputRefused: a file, name or value that cannot be used.
    """
    specs = compare_specs(known)
    names = {spec.name for spec in specs_of(CompareConfig)}
    own = {name: value for name, value in options.items() if name in {*names, "roles"}}
    given = settled(CompareConfig, config, own, specs)
    named = given.pop("roles", None) or {}
    of_kind("roles", named, Mapping, "a mapping of roles")
    roles = dict(named)
    roles |= {name: given.pop(name) for name in list(given) if name not in names}
    roles |= {name: value for name, value in options.items() if name not in own}
    if isinstance(given.get("sizes"), Mapping):
        preset = sizes_of(given.get("preset", CompareConfig.preset))
        given["sizes"] = with_sizes(preset, given["sizes"])
    check_arguments(sizes=given.get("sizes"))
    return CompareConfig(**given, roles=roles)


def text_roles(known: Iterable[Role]) -> tuple[str, ...]:
    """Return the names of the roles that texts stand in."""
    return tuple(role.name for role in known if role.kind in (Kind.PASSAGES, Kind.CORPUS))


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
            words = [*(spec.name for spec in specs_of(CompareConfig)), *roles]
            way_out = nearest(name, words)
            raise InputRefused(
                f"compare: expected its own arguments or one of the roles {', '.join(roles)}, "
                f"found {name!r}; {way_out}, or install the package whose claim takes it"
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


def read_texts(
    given: Mapping[Role, Any], texts: Texts, max_tokens: int | None = None
) -> dict[str, Any]:
    """Return what stands in the roles of texts, counts and tasks, by the role's name.

    Args:
        given: what `given_roles` returned.
        texts: field and split of each text.
        max_tokens: tokens read of a corpus at most.

    Raises:
        InputRefused: a text or table that cannot be read, a limit of a corpus without one, or a
            task that cannot be loaded.
    """
    read: dict[Kind, Callable[[Role, Any], Any]] = {
        Kind.PASSAGES: lambda role, text: texts.read(role.name, text),
        Kind.CORPUS: lambda role, text: as_corpus(
            text, max_tokens, split=texts.split[role.name], column=texts.column[role.name]
        ),
        Kind.COUNTS: lambda _, table: (
            table if isinstance(table, Frequencies) else read_frequencies(table)
        ),
        Kind.TASKS: lambda _, names: read_tasks(names),
    }
    return {
        role.name: read[role.kind](role, value)
        for role, value in given.items()
        if role.kind in read
    }


def check_corpus(asked: CompareConfig, given: Iterable[Role]) -> None:
    """Refuse what is about a corpus where none was given."""
    if asked.max_tokens is not None and all(role.kind is not Kind.CORPUS for role in given):
        raise InputRefused(
            "max_tokens: expected a corpus beside it, found none; give one, or leave it out"
        )


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
