"""Claims that other packages add under an entry point; one that cannot be used is told and left."""

import re
from collections.abc import Iterable
from dataclasses import replace
from importlib.metadata import EntryPoint, entry_points

from hyperinterp.claims.spec import ClaimSpec
from hyperinterp.config import CompareConfig, specs_of

GROUP = "hyperinterp.claims"
"""Entry points under which other packages name their `ClaimSpec`s."""

ARGUMENTS = frozenset(spec.name for spec in specs_of(CompareConfig)) | {
    "base", "config", "context", "figures", "fitted", "force", "json", "options", "out",
    "processes", "progress", "quick", "report_to", "resume_dir", "roles",
}  # fmt: skip
"""Arguments and options of a comparison, so that no role can be named like one."""

RESERVED = frozenset({
    "absent", "broken", "claims", "conditions", "from_json", "plot", "provenance", "read",
    "results", "save", "schema_version", "to_dataset", "to_frame", "to_json", "training",
    "training_curve", "view",
})  # fmt: skip
"""Names that a report uses itself, so that no claim can have them as its slug."""


def installed_claims(known: Iterable[ClaimSpec]) -> tuple[list[ClaimSpec], dict[str, str]]:
    """Return the claims of other packages by name, and why some of them cannot be used.

    Args:
        known: the claims that have their names already.

    Returns:
        The claims in the order of their entry points' names; and, by such a name, what is wrong
        with those that were left out.
    """
    found, faults, known = [], {}, list(known)
    points = entry_points(group=GROUP)
    for point in sorted(points, key=lambda point: (point.name, point.value)):
        try:
            spec = point.load()
            if not isinstance(spec, ClaimSpec):
                raise TypeError(f"expected a ClaimSpec, found {type(spec).__name__}")
            _check(spec, [*known, *found])
        except (Exception, SystemExit) as error:  # whatever another package's import does
            faults[point.name] = _told(point, error)
        else:
            found.append(spec)
    return found, faults


def _check(spec: ClaimSpec, known: list[ClaimSpec]) -> None:
    """Refuse a claim that a report could not hold.

    Raises:
        TypeError: its folder has no class of the result's name.
        ValueError: a name of a wrong form or of another claim, or no criterion.
    """
    if not isinstance(spec.id, str) or not re.fullmatch("[A-Z][A-Za-z0-9]*", spec.id):
        raise ValueError(f"id: expected a capital, then letters or digits, found {spec.id!r}")
    if not isinstance(spec.slug, str) or not re.fullmatch("[a-z][a-z0-9_]*", spec.slug):
        raise ValueError(f"slug: expected a lower-case identifier, found {spec.slug!r}")
    if spec.slug in RESERVED:
        raise ValueError(f"slug: expected one that a report does not use, found {spec.slug!r}")
    for other in known:
        if taken := _names(spec) & _names(other):
            raise ValueError(f"{min(taken)!r} is a name of the claim {other.id} ({other.slug})")
    taken = {role.name: replace(role, optional=False) for it in known for role in it.roles}
    for role in spec.roles:
        if not re.fullmatch("[a-z][a-z0-9]*(-[a-z0-9]+)*", role.name) or role.keyword in ARGUMENTS:
            raise ValueError(f"role: expected a free name with hyphens, found {role.name!r}")
        if taken.get(role.name, same := replace(role, optional=False)) != same:
            raise ValueError(f"role: {role.name!r} is another role of another claim")
    if not spec.rule.criteria:
        raise ValueError("rule: expected at least one criterion, found none")
    _ = spec.result_type


def _names(spec: ClaimSpec) -> set[str]:
    """The names that no other claim may have."""
    return {spec.id.lower(), spec.slug, *(part.id for part in spec.sections)}


def _told(point: EntryPoint, error: BaseException) -> str:
    package = point.dist.name if point.dist is not None else point.value.partition(":")[0]
    words = " ".join(str(error).split())
    return (
        f"The claim {point.name!r} of the package {package} was left out "
        f"({type(error).__name__}: {words}); repair or remove that package."
    )
