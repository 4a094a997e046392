"""Verdicts about a recipe: each condition of a claim over seeds and prompts, by its own rule."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from hyperinterp.analyses.intervals import measured
from hyperinterp.claims import registry
from hyperinterp.claims.spec import Claim, ClaimSpec, Measured, Verdict, missing
from hyperinterp.claims.verdict import judge, not_tested
from hyperinterp.report import Report
from probes import Estimate, hierarchical_bootstrap, over_seeds

LEAST_SEEDS = 3
"""With fewer seeds a verdict about a recipe is "inconclusive"; declared before measuring."""

_LEAST_SHARED = 2  # prompts that all seeds have a value of
_SEED = 0  # of resampling: the training seeds are what is resampled


def recipe_claims(reports: Sequence[Report]) -> dict[str, Claim]:
    """Return every claim about a recipe, by id.

    Args:
        reports: of its seeds, on the same prompts.
    """
    return {spec.id: recipe_claim(spec, reports) for spec in registry.by_id(registry.every_claim())}


def recipe_claim(spec: ClaimSpec, reports: Sequence[Report]) -> Claim:
    """Judge one claim about a recipe by the claim's own rule.

    Args:
        spec: the claim.
        reports: of the recipe's seeds, on the same prompts.
    """
    tested = [it for it in reports if spec.id in it.claims and it.claims[spec.id].conditions]
    if not tested:
        return not_tested(spec, _why(spec, reports))
    per_prompt = [_units(spec, report) for report in tested]
    found: dict[str, Measured] = {}
    for criterion in spec.rule.criteria:
        each = [
            item.measured
            for report in tested
            for item in report.claims[spec.id].conditions
            if item.words == criterion.words
        ]
        if criterion.optional and len(each) < len(tested):
            continue
        values = [units[criterion.key] for units in per_prompt if criterion.key in units]
        found[criterion.key] = combined(each, values if len(values) == len(tested) else [])
    claim = judge(spec, found)
    if len(tested) >= LEAST_SEEDS:
        return claim
    number = {1: "One seed is", 2: "Two seeds are"}[len(tested)]
    why = f"{number} not enough for a verdict about a recipe: {LEAST_SEEDS} are needed. {claim.why}"
    return replace(claim, verdict=Verdict.INCONCLUSIVE, why=why)


def combined(each: Sequence[Measured], units: Sequence[Mapping[str, float]]) -> Measured:
    """Return one quantity over seeds.

    Args:
        each: of every seed, with its interval over prompts.
        units: of every seed, its values of single prompts by their ids, where it is a mean of such;
            empty otherwise.
    """
    gaps = [item.reason for item in each if item.value is None]
    if gaps:
        several = f" (and {len(gaps) - 1} more of {len(each)} seeds)" if len(gaps) > 1 else ""
        return missing(f"{gaps[0]}{several}")
    if len(each) == 1:
        return replace(each[0], n=1, unit="seed")
    shared = sorted(set.intersection(*(set(item) for item in units))) if units else []
    if len(shared) >= _LEAST_SHARED:
        table = np.array([[item[name] for name in shared] for item in units], dtype=np.float64)
        return measured(hierarchical_bootstrap(table, seed=_SEED))
    known = [estimate for item in each if (estimate := _estimate(item)) is not None]
    if len(known) < len(each):
        return missing("a seed's value has no interval")
    return measured(over_seeds(known))


def _estimate(item: Measured) -> Estimate | None:
    if item.value is None or item.lo is None or item.hi is None:
        return None
    lo, hi = min(item.lo, item.value), max(item.hi, item.value)
    return Estimate(item.value, lo, hi, 0.0, max(item.n, 2), item.method)


def _units(spec: ClaimSpec, report: Report) -> Mapping[str, Mapping[str, float]]:
    """Values of single prompts behind a claim's quantities, where its folder can tell them."""
    units, result = spec.part("measurement", "units"), report.results.get(spec.slug)
    return {} if units is None or result is None else units(result)


def _why(spec: ClaimSpec, reports: Sequence[Report]) -> str:
    found = [report.claims[spec.id] for report in reports if spec.id in report.claims]
    failed = [claim for claim in found if claim.verdict is Verdict.FAILED]
    if failed:
        return f"it failed in {len(failed)} of {len(reports)} cells ({failed[0].why})"
    if found:
        return found[0].why.removeprefix("Not tested: ")
    return "no cell of this recipe is done."
