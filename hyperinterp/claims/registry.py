"""The one list of claims, those of other packages, and the names by which they are asked for."""

from collections.abc import Iterable, Sequence
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from hyperinterp.claims.installed import installed_claims
from hyperinterp.claims.roles import Kind, Role
from hyperinterp.claims.spec import ClaimSpec
from hyperinterp.errors import InputRefused
from hyperinterp.ranges import of_kind

if TYPE_CHECKING:
    from hyperinterp.claims.expansion.cached import geometry as geometry

FOLDERS = (
    "diversity",
    "quality",
    "retention",
    "expansion",
    "reranking",
    "temperature",
    "static_bias",
    "last_block",
    "new_dimensions",
    "late_stage",
    "placement",
    "quotation",
    "control",
)
"""The folder of every claim of this package, in the order of the page."""

CLAIMS: tuple[ClaimSpec, ...] = tuple(
    import_module(f"hyperinterp.claims.{folder}").CLAIM for folder in FOLDERS
)
"""Every claim of this package, in the order of the page."""


OFFERED = {"geometry": "expansion.cached"}
"""Functions that users call by themselves, by the module of a folder that has them."""


def __getattr__(name: str) -> Any:
    if name not in OFFERED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"hyperinterp.claims.{OFFERED[name]}"), name)


@cache
def _installed() -> tuple[tuple[ClaimSpec, ...], dict[str, str]]:
    found, faults = installed_claims(CLAIMS)
    return tuple(found), faults


def every_claim() -> tuple[ClaimSpec, ...]:
    """Return the claims of this package, then those of other packages."""
    return CLAIMS + _installed()[0]


def faults() -> dict[str, str]:
    """Return why claims of other packages were left out, by the names of their entry points."""
    return _installed()[1]


def roles() -> tuple[Role, ...]:
    """Return every role that a claim declares: checkpoints, then texts, then counts."""
    found: dict[str, Role] = {}
    for spec in by_id(every_claim()):
        for role in spec.roles:
            known = found.setdefault(role.name, role)
            if known.optional and not role.optional:
                found[role.name] = role
    order = list(Kind)
    return tuple(sorted(found.values(), key=lambda role: (order.index(role.kind), role.several)))


def needing(role: Role) -> str:
    """Return the ids of the claims that need what stands in a role, or take it where given."""
    return ", ".join(
        spec.id
        for spec in by_id(every_claim())
        for item in spec.roles
        if item.name == role.name and item.optional == role.optional
    )


def chosen(names: str | Sequence[str] | None) -> tuple[ClaimSpec, ...]:
    """Return the claims of these ids or slugs, separated by commas; all of them for None.

    Raises:
        InputRefused: a name that no claim has, or none at all.
    """
    specs = every_claim()
    if names is None:
        return specs
    parts = names.split(",") if isinstance(names, str) else names
    of_kind("claims", parts, (list, tuple, set), f"ids such as {specs[0].id}")
    asked = [str(part).strip() for part in parts if str(part).strip()]
    known = {name: spec for spec in specs for name in (spec.id.lower(), spec.slug)}
    unknown = [part for part in asked if part.lower().replace("-", "_") not in known]
    if unknown or not asked:
        found = ", ".join(unknown) or "none"
        why = "".join(f"; {faults()[part]}" for part in unknown if part in faults())
        raise InputRefused(f"claims: expected one of {listed()}, found {found}{why}")
    wanted = {known[part.lower().replace("-", "_")].id for part in asked}
    return tuple(spec for spec in specs if spec.id in wanted)


def listed() -> str:
    """Return the names that claims go by: every id with its slug in brackets."""
    return ", ".join(f"{spec.id} ({spec.slug})" for spec in by_id(every_claim()))


def by_id(specs: Iterable[ClaimSpec]) -> list[ClaimSpec]:
    """Return claims in the order of their ids, by number; those of other packages last."""
    own = {spec.id for spec in CLAIMS}
    return sorted(specs, key=lambda spec: (spec.id not in own, len(spec.id), spec.id))
