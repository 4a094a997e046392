"""The rows of `benchmarks/trust.py` on figures, pairs and texts, and what they show unguarded."""

import pytest

from hyperinterp import under_comparison
from hyperinterp.capture import SiteAccumulators, pair
from hyperinterp.text import formats
from tests.hyperinterp import trust_rows
from tests.hyperinterp.conftest import make_tiny
from tests.trust_table.runs import TOLERANCE


def test_nan_in_an_activation_is_named():
    rows = trust_rows.nan_site_rows(trials=6, seed=3)
    for row in rows:
        assert row["stopped"], row
        assert row["names_the_model"], row
        assert row["names_the_site"], row


def test_control_without_the_look_nan_goes_through(monkeypatch):
    monkeypatch.setattr(pair, "check_finite", lambda *_: None)
    monkeypatch.setattr(pair, "feed", lambda *_, **__: None)
    assert not any(row["stopped"] for row in trust_rows.nan_site_rows(trials=2, seed=3))


@pytest.mark.parametrize("dtype", ["float32", pytest.param("bfloat16", marks=pytest.mark.full)])
def test_figures_agree_across_batch_sizes(dtype):
    for row in trust_rows.tiny_agreement_rows((dtype,)):
        assert row["participation_ratio_relative"] <= TOLERANCE[dtype], row
        assert row["mean_kl_relative"] <= TOLERANCE[dtype], row
        if dtype == "float32":
            assert row["ranks_that_differ"] == row["choices_that_differ"] == 0


def test_control_a_figure_that_depends_on_the_batch_is_seen(monkeypatch):
    honest = SiteAccumulators.add
    monkeypatch.setattr(
        SiteAccumulators, "add", lambda self, name, rows: honest(self, name, rows[:12])
    )  # drops what more than one row of at most 11 tokens has
    row = trust_rows.agreement_row(
        make_tiny("llama", 0), make_tiny("llama", 1), trust_rows.some_rows()
    )
    assert row["participation_ratio_relative"] > 100 * TOLERANCE["float32"]


def test_mismatched_pairs_are_refused_with_the_field():
    rows = trust_rows.mismatch_rows()
    assert len(rows) == 5
    assert [row for row in rows if not (row["refused"] and row["says_which"])] == []


def test_control_without_the_check_a_pair_is_accepted(monkeypatch):
    for check in ("check_pair", "shared_tokens"):
        monkeypatch.setattr(trust_rows, check, lambda *_: None)
    assert not any(row["refused"] for row in trust_rows.mismatch_rows())


def test_bad_texts_are_refused(tmp_path):
    rows = trust_rows.text_rows(tmp_path)
    assert len(rows) >= 16
    assert [row for row in rows if not (row["refused"] and row["says_which"])] == []


def test_control_without_the_reader_the_errors_are_python_s(tmp_path, monkeypatch):
    monkeypatch.setattr(formats, "_no_json", lambda path, where, error: error)
    assert not all(row["refused"] for row in trust_rows.text_rows(tmp_path))


def test_stated_rules(tmp_path):
    row = trust_rows.stated_rules_row(tmp_path)
    assert all(row.values()), row


def test_control_without_the_comparison_of_texts_no_overlap_is_warned_of(tmp_path, monkeypatch):
    monkeypatch.setattr(under_comparison, "shared_ngrams", lambda *_: 0)
    assert not trust_rows.stated_rules_row(tmp_path)["overlap_warned_of"]


def test_the_same_seed_gives_the_same_report():
    row = trust_rows.same_report_row()
    assert row["same"]
    assert row["figures"] > 100
