"""The section that holds a pair beside the papers."""

from dataclasses import replace

from hyperinterp.report import html, markdown
from hyperinterp.report.papers import GREEDY, LI, THEIRS, papers, published

from . import factory


def test_the_pair_has_a_row_below_each_of_theirs():
    report = factory.complete()
    section = papers(report)
    greedy, others, protocols = section.sheets
    assert [row[:2] for row in greedy.rows] == [
        *((LI, name) for name in THEIRS), *(("this pair", name) for name in THEIRS),
    ]  # fmt: skip
    ours = {row[1]: dict(zip(GREEDY, row[2:], strict=True)) for row in greedy.rows[3:]}
    scores = report.diversity.scores
    assert ours["base"]["ttr"] == scores["ttr"].base
    assert ours["fitted"]["rep_2"] == scores["rep_2"].fitted
    assert ours["fitted"]["entropy"] == report.temperature.entropy.fitted
    rate = report.reranking.teacher_forced.override_rate.value
    assert ours["fitted"]["agreement"].value == 1 - rate
    told = {row[0]: row[1] for row in others.rows}
    growth = next(site for site in report.expansion.sites if site.key == "resid.29")
    naive = told["growth of the naive participation ratio, last block's output"]
    assert naive == growth.metrics["pr"].delta
    assert any("32 tokens" in str(row[3]) for row in protocols.rows)


def test_what_was_not_measured_has_no_row():
    section = papers(factory.sparse())
    assert [row[1] for row in section.sheets[0].rows[3:]] == ["base", "fitted"]
    assert set(published(factory.sparse())) == {
        ("agreement", "base"), ("agreement", "fitted"), ("overrides", ""), ("deep", ""),
    }  # fmt: skip
    assert papers(replace(factory.sparse(), results={})) is None


def test_page_and_document_have_it():
    report = factory.sparse()
    assert 'id="papers"' in html.render(report)
    text = markdown.render(report)
    assert "## Beside the papers" in text
    assert "0.391" in text
