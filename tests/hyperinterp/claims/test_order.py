"""What a claim finds depends neither on which claims are asked for, nor on their order."""

from dataclasses import asdict, replace

import pytest

from hyperinterp.claims.registry import CLAIMS
from hyperinterp.claims.running import run
from hyperinterp.claims.spec import Verdict
from hyperinterp.runs import RunContext
from hyperinterp.under_comparison import Study

from .conftest import SIZES

FEW = replace(
    SIZES, prompts=8, new_tokens=10, window=10, contexts_per_prompt=3, order_contexts=8,
    lens_contexts=6, control_prompts=3, seeds=1, sweep=(), alphas=(1.0,), bias_steps=2,
    patch_prompts=3, null_draws=1, stitched=1, variants=("standardised", "unit_norm"),
)  # fmt: skip


@pytest.fixture(scope="module")
def found(tiny_pair, make_tiny, words):
    """A function (specs) -> their results on one pair with everything that a claim may need."""
    base, fitted = tiny_pair

    def of(specs):
        roles = {
            "control": make_tiny(3), "late-stage 0": make_tiny(4), "late-stage 1": base,
            "train-data": words(4, seed=5), "elsewhere 0": make_tiny(5),
        }  # fmt: skip
        study = Study(
            base, fitted, words(8), sizes=FEW, roles=roles, run=RunContext(batch_size=3),
            wanted=frozenset(name for spec in specs for name in spec.runs),
        )  # fmt: skip
        outcome = run(study, specs, specs)
        return outcome, dict(study.run.log.forwards)

    return of


@pytest.fixture(scope="module")
def together(found):
    return found(CLAIMS)


def test_all_of_them_can_be_tested(together):
    outcome, _ = together
    assert set(outcome.results) == {spec.slug for spec in CLAIMS}
    assert all(claim.verdict is not Verdict.FAILED for claim in outcome.claims.values())


def test_in_the_reversed_order_they_find_the_same_at_the_same_cost(found, together):
    outcome, forwards = found(CLAIMS[::-1])
    for spec in CLAIMS:
        assert asdict(outcome.results[spec.slug]) == asdict(together[0].results[spec.slug])
        assert outcome.claims[spec.id] == together[0].claims[spec.id]
    assert forwards == together[1]


@pytest.mark.parametrize("spec", CLAIMS, ids=lambda spec: spec.id)
def test_alone_it_finds_the_same(found, together, spec):
    outcome, _ = found((spec,))
    assert asdict(outcome.results[spec.slug]) == asdict(together[0].results[spec.slug])
