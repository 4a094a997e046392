"""Verdicts about a recipe: seeds decide, not prompts; the claim's own rule stays."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.seeds import SPREADS, own, simulated
from hyperinterp.claims import registry
from hyperinterp.claims.spec import Measured, Verdict, missing
from hyperinterp.claims.verdict import judge, not_tested
from hyperinterp.report import Report
from hyperinterp.studies.verdicts import combined, recipe_claim

from ..report.factory import sparse

SPEC = next(spec for spec in registry.CLAIMS if spec.slug == "control")


EMPTY = sparse()


def _report(value: float, half: float = 0.02, n: int = 24) -> Report:
    found = judge(SPEC, {"gap": Measured(value, value - half, value + half, n, "prompt", "made")})
    return replace(EMPTY, claims={SPEC.id: found})


def test_seeds_that_agree_support_a_recipe() -> None:
    claim = recipe_claim(SPEC, [_report(value) for value in (0.2, 0.21, 0.22)])
    assert (claim.verdict, claim.n) == (Verdict.SUPPORTED, 3)
    assert claim.effect == pytest.approx(0.21)
    assert claim.conditions[0].measured.unit == "seed"


def test_seeds_that_each_support_it_but_disagree_do_not() -> None:
    reports = [_report(value) for value in (0.08, 0.2, 0.5)]
    assert all(report.claims[SPEC.id].verdict is Verdict.SUPPORTED for report in reports)
    assert recipe_claim(SPEC, reports).verdict is Verdict.INCONCLUSIVE


def test_no_effect_in_any_seed_is_not_supported() -> None:
    claim = recipe_claim(SPEC, [_report(value) for value in (0.0, 0.01, -0.01)])
    assert claim.verdict is Verdict.NOT_SUPPORTED


@pytest.mark.parametrize(("count", "words"), [(1, "One seed is"), (2, "Two seeds are")])
def test_fewer_than_three_seeds_decide_nothing(count: int, words: str) -> None:
    claim = recipe_claim(SPEC, [_report(0.4)] * count)
    assert claim.verdict is Verdict.INCONCLUSIVE
    assert claim.why.startswith(words)
    assert claim.effect == pytest.approx(0.4)


def test_what_no_seed_tested_says_why() -> None:
    gap = not_tested(SPEC, "needs a model.")
    report = replace(_report(0.1), claims={SPEC.id: gap})
    assert recipe_claim(SPEC, [report]).why == "Not tested: needs a model."
    assert recipe_claim(SPEC, []).verdict is Verdict.NOT_TESTED
    tested = recipe_claim(SPEC, [report, *[_report(0.2)] * 3])
    assert (tested.verdict, tested.n) == (Verdict.SUPPORTED, 3)


def test_values_of_single_prompts_are_used_where_there_are_any() -> None:
    draw = np.random.default_rng(0)
    table = draw.standard_normal((4, 12)) / 10
    each = [Measured(float(row.mean()), -9.0, 9.0, 12) for row in table]
    units = [{str(n): float(value) for n, value in enumerate(row)} for row in table]
    found = combined(each, units)
    assert found.value == pytest.approx(table.mean())
    assert found.lo is not None
    assert found.lo > -1
    lost = [dict(list(item.items())[1:]) for item in units[:1]] + units[1:]
    assert combined(each, lost).value == pytest.approx(table[:, 1:].mean())


def test_a_seed_without_a_value_leaves_it_undecided() -> None:
    known = Measured(0.5, 0.4, 0.6, 9)
    assert combined([known, missing("no gain"), missing("no gain")], []).reason == (
        "no gain (and 1 more of 3 seeds)"
    )
    assert combined([known, Measured(0.5)], []).reason == "a seed's value has no interval"


def test_a_condition_that_holds_only_where_it_was_measured_needs_all_seeds() -> None:
    spec = next(item for item in registry.CLAIMS if any(c.optional for c in item.rule.criteria))
    first, *rest = spec.rule.criteria
    value = first.threshold + (0.3 if first.above else -0.3)
    found = {item.key: Measured(value, value - 0.01, value + 0.01, 24) for item in (first, *rest)}
    whole = replace(EMPTY, claims={spec.id: judge(spec, found)})
    part = replace(EMPTY, claims={spec.id: judge(spec, {first.key: found[first.key]})})
    assert len(recipe_claim(spec, [whole] * 3).conditions) == 1 + len(rest)
    assert len(recipe_claim(spec, [whole, whole, part]).conditions) == 1


@pytest.mark.full
def test_400_studies_hold_the_truth_and_seeds_with_an_effect_make_no_recipe_of_it() -> None:
    """The recipe's true effect is the threshold; its seeds lie on both sides of it."""
    threshold, spreads = SPEC.rule.criteria[0].threshold, list(SPREADS.values())
    held = supported = single = 0
    for number in range(400):
        values = threshold + simulated(3, spreads[number % len(spreads)], number)
        rows = [own(row) for row in values]
        each = [Measured(it.value, it.lo, it.hi, it.n, it.unit, it.method) for it in rows]
        reports = [replace(EMPTY, claims={SPEC.id: judge(SPEC, {"gap": it})}) for it in each]
        claim = recipe_claim(SPEC, reports)
        assert claim.interval is not None
        held += claim.interval[0] <= threshold <= claim.interval[1]
        supported += claim.verdict is Verdict.SUPPORTED
        single += reports[0].claims[SPEC.id].verdict is Verdict.SUPPORTED
    assert 0.9 <= held / 400 <= 0.98
    assert supported / 400 <= 0.05
    assert single / 400 > 0.1


@pytest.mark.full
def test_intervals_of_single_prompts_hold_the_truth_in_400_studies() -> None:
    held, spreads = 0, list(SPREADS.values())
    for number in range(400):
        values = simulated(3, spreads[number % len(spreads)], 1000 + number)
        units = [{str(n): float(value) for n, value in enumerate(row)} for row in values]
        found = combined([Measured(0.0, -1.0, 1.0, 9)] * 3, units)
        assert found.lo is not None
        assert found.hi is not None
        held += found.lo <= 0 <= found.hi
    assert 0.9 <= held / 400 <= 0.98
