"""The verdicts on planted pairs: counted rightly, and not wrong on the seeds that run here."""

from types import SimpleNamespace

import pytest
from scipy.stats import binomtest

from benchmarks import planted, record


@pytest.mark.parametrize(("wrong", "n"), [(0, 40), (3, 40), (40, 40)])
def test_the_interval_of_a_rate_is_wilsons(wrong, n):
    found = planted.rate(wrong, n)
    theirs = binomtest(wrong, n).proportion_ci(method="wilson")
    assert (found["lo"], found["hi"]) == pytest.approx((theirs.low, theirs.high), abs=1e-4)


def test_a_summary_tells_right_from_wrong():
    def outcome(verdict, named):
        return planted.Outcome("last block", "llama", 0, {"C6": verdict}, {"C6": 1.0}, named)

    found = planted.summary(
        [outcome("supported", True), outcome("inconclusive", True), outcome("not supported", False)]
    )
    cell = found["kinds"]["last block"]["C6"]
    assert (cell["right"], cell["undecided"], cell["wrong"]) == (1, 1, 1)
    assert found["all"]["wrong"] == 1
    assert found["kinds"]["last block"]["names the block"]["value"] == pytest.approx(2 / 3)


@pytest.mark.parametrize("kind", ["itself", "static bias", "middle expansion", "last expansion"])
def test_no_verdict_is_wrong_on_a_tiny_pair_of_another_family(kind):
    given = SimpleNamespace(kinds=[kind], seeds=1, real=False, prompts=16)
    found = planted.summary(planted.run(given))
    assert found["all"]["wrong"] == 0
    assert found["all"]["right"] > 0


def test_the_stored_verdicts_of_the_real_model_hold_every_kind_and_none_is_wrong():
    found = record.read("planted_real")
    assert {"carried expansion", "invisible expansion", "reordering"} <= set(found["kinds"])
    outcomes = [planted.Outcome(**pair) for pair in found["pairs"]]
    assert planted.summary(outcomes)["all"] == found["all"]
    assert found["all"]["wrong"] == 0


@pytest.mark.full
@pytest.mark.real
def test_no_verdict_is_wrong_on_the_real_model():
    given = SimpleNamespace(
        kinds=["temperature", "middle expansion", "last expansion"], seeds=1, real=True, prompts=24
    )
    found = planted.summary(planted.run(given))
    assert found["all"]["wrong"] == 0
    for kind in ("middle expansion", "last expansion"):
        assert found["kinds"][kind]["names the block"]["value"] == 1
