"""The page explains itself: its first sentences, its terms, its order, and what it must not say."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hyperinterp.analyses.predictions import gain_share
from hyperinterp.claims.registry import CLAIMS, by_id
from hyperinterp.claims.spec import Measured, Verdict
from hyperinterp.claims.static_bias.words import beats, caveat
from hyperinterp.claims.verdict import judge
from hyperinterp.cli.show import show_claims
from hyperinterp.drawing.words import terms
from hyperinterp.report import claims, html, opening
from hyperinterp.report.schema import Report
from hyperinterp.report.sections import MAIN, sections
from hyperinterp.report.summary import notes

ROOT = Path(__file__).resolve().parents[3]
SPECS = {spec.id: spec for spec in CLAIMS}


def test_three_sentences_say_what_it_is_what_was_compared_and_what_came_out(
    complete: Report, complete_html: str
) -> None:
    top = complete_html.partition('<ol class="opening">')[2].partition("</ol>")[0]
    assert top.count("<li") == 3
    assert "fine-tune a language model on a few passages until it knows them by heart" in top
    assert "SmolLM2-135M-Instruct" in top
    assert "&lt;s&gt;" in top  # the fitted model's name, as text
    assert "C1, “The fitted model&#39;s greedy text is more diverse than the base&#39;s”" in top
    told = opening.outcome(complete)
    assert told.startswith("Of 12 claims: ") or told.startswith(f"Of {len(CLAIMS)} claims: ")
    assert told.endswith("where one above 0.05 was asked for.")


def test_every_claim_explains_its_terms(complete_html: str) -> None:
    assert all(terms(spec.package) for spec in CLAIMS if spec.slug in ("expansion", "last_block"))
    for spec in CLAIMS:
        for term, meaning in terms(spec.package).items():
            assert meaning.endswith((".", "?"))
            assert f"<dt>{term.replace('&', '&amp;')}</dt>" in complete_html
    assert 'id="term-expansion-participation-ratio"' in complete_html
    assert terms("hyperinterp.claims") == {}  # a folder without words


def test_figures_are_numbered_through_the_page(complete: Report, complete_html: str) -> None:
    found = [int(n) for n in re.findall(r'class="number">Figure (\d+)\.<', complete_html)]
    assert found == list(range(1, len(found) + 1))
    assert len(found) == complete_html.count('class="chart"')
    assert re.search(r'href="#temperature">Temperature, figures \d+ to \d+</a>', complete_html)


def test_seven_claims_stand_open_and_the_others_are_folded(complete: Report) -> None:
    main = [spec.slug for spec in by_id(CLAIMS)[:MAIN]]
    for section in sections(complete):
        if section.claim is not None:
            assert section.opened == int(section.id in main)
    by_name = {section.id: section for section in sections(complete)}
    assert by_name["temperature"].folded == "2 figures, 2 tables"
    assert by_name["quotation"].opened == 0
    assert by_name["generations"].folded == ""


def test_a_claim_names_its_source_and_its_page(complete: Report, complete_html: str) -> None:
    for section in sections(complete):
        for name in section.source:
            assert (ROOT / name).exists(), name
            assert f"<code>{name}</code>" in complete_html
    assert sum(bool(section.source) for section in sections(complete)) == len(CLAIMS)


def test_what_would_change_a_verdict(complete: Report) -> None:
    told = {claim.id: claims.would_change(claim) for claim in complete.claims.values()}
    assert "“change in the share of repeated 4-grams”" in told["C1"] or "“gain" in told["C1"]
    assert told["C9"] == ""  # not tested: its row says what it needs
    assert told["C6"].startswith(
        "“change recovered by the last block alone” would have to lie wholly above 0.5, where its "
    )
    assert told["C6"].count("would have to lie wholly above") == 2  # both conditions that fail
    assert re.search(r"^About [\d,]+ prompts, which would decide “share", told["C7"])
    undecided = judge(SPECS["C7"], {"share": Measured(0.9, 0.7, 1.1, 24, "prompt")})
    assert claims.would_change(undecided) == (
        "About 97 prompts, which would decide “share of the all-layer gain” for the claim if "
        "0.900 stays."  # an interval of half 0.2 has to become one of 0.1: four times the prompts
    )
    near = judge(SPECS["C7"], {"share": Measured(0.801, 0.7, 0.9, 24, "prompt")})
    assert claims.would_change(near).startswith("More than 100 times the prompts")


def test_newcomers_find_five_answers(complete: Report, complete_html: str) -> None:
    found = opening.questions(complete, {section.id for section in sections(complete)})
    assert [item.words for item in found] == [
        "What was compared?", "What is the participation ratio?", "Which way is good?",
        "Why is C7 open?", "What would change the verdict?",
    ]  # fmt: skip
    for item in found:
        assert f'id="{item.place}"' in complete_html
        assert item.answer or item.place == "compared"


def test_important_notes_are_told_in_the_terminal(
    complete: Report, capsys: pytest.CaptureFixture[str]
) -> None:
    show_claims(complete)
    told = " ".join(capsys.readouterr().out.split())
    for note in notes(complete):
        if "</script>" not in note:
            assert note in told
    assert "Growth and cause come apart" in told


# -- what misled -------------------------------------------------------------------------------


def test_blocks_together_are_points_in_both_directions(complete: Report) -> None:
    assert complete.last_block is not None
    figure = complete.last_block.plot("cumulative")
    assert {trace.mode for trace in figure.data} == {"markers"}
    names = [trace.name for trace in figure.data]
    assert len([name for name in names if "sufficiency" in name]) == 2
    assert len([name for name in names if "necessity" in name]) == 2
    single = {trace.name for trace in complete.last_block.plot("single").data}
    assert {"fitted into base (sufficiency)", "base into fitted (necessity)"} <= single


def test_what_is_left_is_called_left(complete: Report) -> None:
    charts = {chart.name: chart for chart in complete.temperature.charts()}
    assert charts["divergence"].title == "What the best temperature leaves of the change"
    assert "left" in charts["divergence"].figure().layout.xaxis.title.text
    bias = complete.static_bias
    chart = next(chart for chart in bias.charts() if chart.name == "explained")
    assert "leaves" in chart.title
    drawn = chart.figure()
    assert drawn.data[0].x[0] == pytest.approx(1 - bias.explained.value)
    assert drawn.data[1].x[0] == pytest.approx(1 - bias.explained_shuffled.value)
    assert drawn.data[2].x[0] == bias.remaining.value


def test_two_values_of_one_growth_are_named(complete: Report) -> None:
    rows = {name: cell for name, cell, *_ in complete.expansion.tables()[0].rows}
    assert "growth of the last block, participation ratio, corrected" in rows
    naive = next(name for name in rows if "naive" in name and name.startswith("the same"))
    last = next(site for site in complete.expansion.sites if site.key == "resid.29")
    assert rows[naive] == last.metrics["pr"].delta
    figure = complete.expansion.plot("rows")
    assert figure.layout.xaxis.title.text == "participation ratio, naive"
    assert "corrected (decides): +" in figure.layout.title.subtitle.text


def test_a_gain_that_is_not_resolved_is_not_called_none() -> None:
    base = np.zeros(4)
    unsure = gain_share(base, np.array([0.4, -0.1, 0.3, -0.2]), base).reason
    assert unsure.startswith("the fitted model's gain is not resolved")
    none = gain_share(base, np.array([-0.4, -0.41, -0.39, -0.4]), base).reason
    assert none.startswith("the fitted model has no gain")
    assert "−0.4 [−0.4" in none  # a minus sign, not a hyphen
    assert "-0" not in none


def test_the_fitted_bias_says_what_it_rests_on(complete: Report) -> None:
    bias = replace(complete.static_bias, calibration_prompts=12, bias_steps=2)
    names = [cell for cell, *_ in bias.tables()[0].rows]
    assert "KL with the bias fitted on 12 prompts in 2 steps, nats" in names
    ticks = bias.plot("explained").layout.yaxis.ticktext
    assert "KL left with the bias fitted<br>on 12 prompts in 2 steps" in ticks
    assert next(beats(bias, {})).words == "share left with the bias fitted on 12 prompts in 2 steps"
    cut = replace(bias, bias_held_loss=(0.9, 0.8, 0.7))
    claim = replace(complete.claims["C3"], verdict=Verdict.SUPPORTED)
    assert "on 12 prompts in 2 steps" in caveat(claim, cut)
    ended = replace(bias, bias_held_loss=(0.9, 0.7, 0.75, 0.76, 0.77))
    assert caveat(claim, ended) == ""


def test_no_number_has_a_hyphen_for_a_minus(complete: Report) -> None:
    page = html.render(complete)
    shown = re.sub(r"<(script|style)\b.*?</\1>|<[^>]*>", " ", page, flags=re.DOTALL)
    assert re.findall(r"(?<=[\s\[(])-\d[\d.]*", shown) == []
    assert not re.search(r"p = 0(\.0*)?(?!\.?\d)", shown)
    low = judge(SPECS["C7"], {"share": Measured(-0.2, -0.3, -0.1, 24)})
    assert "−0.2 [−0.3, −0.1]" in low.why


def test_a_claim_names_its_section_its_page_and_its_source(complete_html: str) -> None:
    row = re.search(r'<tbody id="claim-C5">.*?</tbody>', complete_html, re.DOTALL)
    assert row is not None
    assert 'href="#expansion"' in row[0]
    shown = re.sub(r"<[^>]+>", "", row[0])
    assert "docs/claims/c5.md" in shown
    assert "hyperinterp/claims/expansion/" in shown


def test_terms_stand_where_they_are_met(complete: Report) -> None:
    told = {item.id: {term for _, term, _ in item.terms} for item in sections(complete)}
    assert "logit lens" in told["lens"]
    assert "logit lens" not in told["reranking"]
    assert "calibration error" in told["retention"]
    judged = [item for item in sections(complete) if item.claim is not None]
    assert all(told[item.id] for item in judged)
