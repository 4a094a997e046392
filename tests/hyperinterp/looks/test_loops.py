"""Loops: on a base that loops, a twin whose last block breaks them, and plain forward passes."""

import json
from dataclasses import replace

import pytest
import torch

import hyperinterp as hi
from hyperinterp.generation import Generated
from hyperinterp.looks.loops.measurement import SPAN, by_length, endless, measure, repeated
from hyperinterp.report.markdown import render
from probes import final_loop, type_token_ratio

from ..claims.conftest import SIZES
from ..claims.planted import planted_twin, settle

FEW = replace(
    SIZES, prompts=4, prompt_tokens=6, context_tokens=6 + SPAN, new_tokens=24, window=24,
    contexts_per_prompt=4, control_prompts=2,
)  # fmt: skip


@pytest.fixture(scope="module")
def pair(make_tiny):
    """A base that repeats its last token, and a twin whose last block drowns that out."""
    base = make_tiny()
    settle(base)
    return base, planted_twin(base, "loop broken", 1)


@pytest.fixture(scope="module")
def report(pair, words):
    return hi.compare(*pair, prompts=words(4), claims="C1", also="loops", sizes=FEW, device="cpu")


def test_the_twin_leaves_the_loops_that_the_base_is_in(report):
    found = report.loops
    assert (found.looping.base.value > 0, found.looping.fitted.value) == (True, 0.0)
    ways = {(item.of, item.by): item for item in found.ways}
    assert set(ways) == {("base", "base"), ("base", "fitted")}  # the twin has none
    assert (ways["base", "base"].left.value, ways["base", "base"].free.value) == (0.0, 0.0)
    assert (ways["base", "fitted"].left.value, ways["base", "fitted"].free.value) == (1.0, 1.0)
    assert ways["base", "fitted"].prompts == 4 * found.looping.base.value


def test_long_texts_begin_as_the_short_ones(report):
    first, last = report.loops.lengths[0], report.loops.lengths[-1]
    assert (first.tokens, first.ttr.base.value) == (1, 1.0)
    assert last.tokens == round(16 / 3 * 24)
    assert last.ttr.base.value < last.ttr.fitted.value
    assert report.loops.texts == 2


def test_a_report_holds_it_and_reads_it_back(report):
    again = hi.Report.from_json(report.to_json())
    assert again.loops == report.loops
    assert json.loads(report.to_json())["results"]["loops"]["ways"]
    assert "## Loops" in render(report)
    charts = report.loops.charts()
    assert [chart.name for chart in charts] == ["turns", "lengths"]
    assert all(list(chart.variants()) for chart in charts)
    for name in ("ways", "turns", "lengths"):
        assert len(report.to_frame("loops", name)) == len(getattr(report.loops, name))


def test_probabilities_of_copies_are_those_of_one_plain_pass(make_study, planted):
    study = make_study(planted("last block"), **{k: getattr(FEW, k) for k in (
        "prompts", "prompt_tokens", "context_tokens", "new_tokens", "window")})  # fmt: skip
    found = {item.copies: item for item in repeated(study)}
    expected = []
    for row in study.heldout.rows.rows:
        span = row[6 : 6 + SPAN]
        ids = torch.tensor([[*row[:6], *span * 3]])
        share = study.fitted.hf(ids).logits[0].detach().double().softmax(-1)
        steps = range(5 + 2 * SPAN, 5 + 3 * SPAN)
        told = [float(share[step, ids[0, step + 1]]) for step in steps]
        chosen = [int(share[step].argmax()) == int(ids[0, step + 1]) for step in steps]
        expected.append((sum(told) / SPAN, sum(chosen) / SPAN))
    means = torch.tensor(expected, dtype=torch.float64).mean(0).tolist()
    assert found[2].probability.fitted.value == pytest.approx(means[0], rel=1e-5)
    assert found[2].chosen.fitted.value == pytest.approx(means[1])


def test_a_text_that_its_model_ended_is_in_no_loop():
    rows = ((1, 2) * 8, (1, 2) * 8, (), tuple(range(16)))
    assert set(endless(Generated(rows, (False, True, False, False)))) == {0}


def test_a_prompt_counts_as_far_as_both_of_its_texts_reach():
    texts = {"base": [(1, 1, 1, 1), (1, 2)], "fitted": [(1, 2, 3, 1), (3, 3)]}
    found = {item.tokens: item for item in by_length(texts, 4)}
    assert found[2].ttr.base.value == (0.5 + 1.0) / 2
    assert found[4].ttr.fitted.value == type_token_ratio((1, 2, 3, 1))
    assert (found[4].ttr.base.n, found[2].ttr.base.n) == (1, 2)


def test_passages_that_are_too_short_say_so(make_study, planted):
    study = make_study(
        planted("last block"), prompts=2, prompt_tokens=6, context_tokens=10, new_tokens=8
    )
    found = measure(study)
    assert found.turns == ()
    assert "raise context_tokens" in found.why["turns"]
    assert all(final_loop(row) is None for row in study.shared.texts.greedy("base").rows) == (
        "ways" in found.why
    )
    told = [sheet.missing for item in found.tables() for sheet in item.sheets()]
    assert len(told) == 3
    assert {why for why in told if why} == set(found.why.values())
