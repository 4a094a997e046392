"""The one list of claims, and the names by which they are asked for."""

from collections.abc import Iterable, Sequence

from hyperinterp.claims import (
    control,
    diversity,
    expansion,
    last_block,
    late_stage,
    quotation,
    reranking,
    static_bias,
    temperature,
)
from hyperinterp.claims.spec import ClaimSpec
from hyperinterp.errors import InputRefused
from hyperinterp.ranges import of_kind

CLAIMS: tuple[ClaimSpec, ...] = (
    diversity.CLAIM,
    expansion.CLAIM,
    reranking.CLAIM,
    temperature.CLAIM,
    static_bias.CLAIM,
    last_block.CLAIM,
    late_stage.CLAIM,
    quotation.CLAIM,
    control.CLAIM,
)
"""Every claim of this package, in the order of the page."""


def chosen(names: str | Sequence[str] | None) -> tuple[ClaimSpec, ...]:
    """Return the claims of these ids or slugs, e.g. `C1,expansion`; all of them for None.

    Raises:
        InputRefused: a name that no claim has, or none at all.
    """
    if names is None:
        return CLAIMS
    parts = names.split(",") if isinstance(names, str) else names
    of_kind("claims", parts, (list, tuple, set), "ids such as C1")
    asked = [str(part).strip() for part in parts if str(part).strip()]
    known = {name: spec for spec in CLAIMS for name in (spec.id.lower(), spec.slug)}
    unknown = [part for part in asked if part.lower().replace("-", "_") not in known]
    if unknown or not asked:
        listed = ", ".join(f"{spec.id} ({spec.slug})" for spec in by_id(CLAIMS))
        found = ", ".join(unknown) or "none"
        raise InputRefused(f"claims: expected one of {listed}, found {found}")
    wanted = {known[part.lower().replace("-", "_")].id for part in asked}
    return tuple(spec for spec in CLAIMS if spec.id in wanted)


def by_id(specs: Iterable[ClaimSpec]) -> list[ClaimSpec]:
    """Return claims in the order of their ids: C2 before C10."""
    return sorted(specs, key=lambda spec: (len(spec.id), spec.id))
