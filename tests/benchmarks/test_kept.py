"""A changed value of a report is found, whatever its field was called before."""

import json
from copy import deepcopy

import pytest

from benchmarks import kept
from benchmarks.pages import ROOT, block_of

OLD = {
    "schema_version": "1.0",
    "claims": {"C1": {"effect": 0.25, "why": "old words", "verdict": "supported"}},
    "provenance": {"seed": 0},
    "ranks": {"token_ids": [3, 4]},
    "transplant": {
        "transplants": [{"label": "block 0", "kl": 2.0}, {"label": "block 1", "kl": 3.0}],
        "nulls": [{"layer": 0, "kl": 1.0}],
    },
}
NEW = {
    "schema_version": "3.0",
    "claims": {"C1": {"effect": 0.25, "why": "new words", "verdict": "supported"}},
    "provenance": {"seed": 1},
    "results": {
        "reranking": {"token_ids": [3, 4]},
        "last_block": {
            "patches": [{"label": "block 1", "kl": 3.0}, {"label": "block 0", "kl": 2.0}],
            "nulls": [{"layer": 0, "kl": 7.0}],
        },
    },
}


def test_fields_of_other_names_and_places_are_the_same():
    found = kept.held(OLD, NEW)
    assert (found.changed, found.gone, found.new) == ([], [], [])
    assert found.same == found.common - 1
    assert sum(found.decided.values()) == 1  # the null, which is drawn anew


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("claims", "C1", "effect"), 0.26),
        (("claims", "C1", "effect"), None),
        (("claims", "C1", "verdict"), "not supported"),
        (("results", "reranking", "token_ids", 1), 5),
        (("results", "last_block", "patches", 0, "kl"), 3.1),
    ],
)
def test_a_changed_value_is_found(path, value):
    other = deepcopy(NEW)
    item = other
    for name in path[:-1]:
        item = item[name]
    item[path[-1]] = value
    ((_, before, after),) = kept.held(OLD, other).changed
    assert after == value != before


def test_rounding_is_told_from_change_and_what_is_gone_is_found():
    other = deepcopy(NEW)
    other["claims"]["C1"]["effect"] += 1e-7
    del other["results"]["reranking"]
    found = kept.held(OLD, other)
    assert found.rounded == 1
    assert found.largest == pytest.approx(1e-7)
    assert found.gone == ["results/reranking/token_ids/0", "results/reranking/token_ids/1"]


def test_a_difference_is_as_exact_as_its_sides():
    found = kept.sides({"a/base/value": 400.0, "a/fitted/value": 402.0}, "a/delta/lo")
    assert found == (400.0, 402.0)
    assert kept.sides({"a/base/value": 400.0}, "a/base/lo") == ()
    assert kept.apart(2.0, 2.01, found) == pytest.approx(0.01 / 402)
    assert kept.apart(2.0, 2.01) == pytest.approx(0.01 / 2.01)


def test_the_page_shows_what_was_kept():
    stored = json.loads(kept.KEPT.read_text(encoding="utf-8"))
    assert block_of(ROOT / "CONTRIBUTING.md", "kept") == kept.page(stored).strip()
    assert all(item["changed"] == item["gone"] == 0 for item in stored.values())
