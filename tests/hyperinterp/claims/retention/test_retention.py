"""C11: picks against a plain recomputation, pairs that lost something and pairs that did not."""

import random
from dataclasses import replace

import numpy as np
import pytest
import torch

import hyperinterp as hi
from hyperinterp.analyses.reference import Reference
from hyperinterp.claims import retention
from hyperinterp.claims.retention import measurement
from hyperinterp.claims.retention.picking import CANDIDATES, TOKENS, by_passage, choices_of, right
from hyperinterp.claims.running import evaluated
from hyperinterp.claims.spec import Verdict
from hyperinterp.generation import Decoding, generate
from hyperinterp.runs import RunContext
from hyperinterp.text import Passage, Passages, TokenRows
from hyperinterp.under_comparison import Study

from ...report import factory
from ..conftest import SIZES
from ..tiny import changed

PASSAGES, PROMPT = 10, 6
LONG = replace(SIZES, prompts=PASSAGES, context_tokens=PROMPT + 2 * TOKENS, new_tokens=16)


def told(rows, name):
    texts = (" ".join(f"w{token}" for token in row) for row in rows)
    return Passages(tuple(Passage(f"{name}{n}", text) for n, text in enumerate(texts)), name)


@pytest.fixture(scope="module")
def world(make_tiny):
    """A base, and text of two kinds that it knows: its own, drawn at T = 1."""
    model, draw = make_tiny(0), random.Random(1)
    rows = tuple(tuple(draw.randrange(1, 151) for _ in range(PROMPT)) for _ in range(2 * PASSAGES))
    prompts = TokenRows(rows, tuple(range(len(rows))), PROMPT, 0)
    arms = [Decoding("people", seed=3)]
    ends = generate(model, prompts, arms, new_tokens=2 * TOKENS)["people"].rows
    whole = [prompt + end for prompt, end in zip(rows, ends, strict=True)]
    return model, told(whole[:PASSAGES], "a"), told(whole[PASSAGES:], "b")


def study_of(world, fitted, *, other=True, **more):
    model, same, different = world
    roles = {"other-text": different} if other else {}
    return Study(
        model, fitted, same, sizes=more.pop("sizes", LONG), run=RunContext(seed=2, batch_size=64),
        roles=roles | more,
    )  # fmt: skip


def noisy(model, size):
    def change(hf):
        draw = torch.Generator().manual_seed(4)
        for weight in hf.parameters():
            spread = weight.std() if weight.numel() > 1 else 0
            weight += size * spread * torch.randn(weight.shape, generator=draw)

    return changed(model, change)


def test_a_model_beside_itself_has_lost_nothing(world):
    result, claim = evaluated(retention.CLAIM, study_of(world, world[0]))
    assert claim.verdict is Verdict.SUPPORTED
    assert (result.change.value, result.change.lo, result.change.hi) == (0, 0, 0)
    assert result.change.n == 2 * PASSAGES
    assert result.change.unit == "passage"
    for item in result.texts:
        assert (item.loss.delta.value, item.calibration_error.delta.value) == (0, 0)
        assert (item.passages, item.choices) == (PASSAGES, 2 * PASSAGES)
    assert result.accuracy["fitted"].base.value > 0.6


def test_little_noise_loses_nothing_and_much_noise_does(world):
    _, claim = evaluated(retention.CLAIM, study_of(world, noisy(world[0], 0.001)))
    assert claim.verdict is Verdict.SUPPORTED
    result, claim = evaluated(retention.CLAIM, study_of(world, noisy(world[0], 2.0)))
    assert claim.verdict is Verdict.NOT_SUPPORTED
    assert all(item.loss.delta.lo > 0 for item in result.texts)


def test_a_temperature_changes_no_pick_but_the_calibration(world):
    def sharpen(hf):
        hf.get_output_embeddings().weight.mul_(3.0)

    result, _ = evaluated(retention.CLAIM, study_of(world, changed(world[0], sharpen)))
    errors = [item.calibration_error for item in result.texts]
    assert all(item.delta.lo > 0 for item in errors)
    sure = {item.model: item for item in result.reliability if item.text == "other"}
    assert sure["fitted"].confidence[-1] > sure["fitted"].accuracy[-1] + 0.1
    assert sum(sure["base"].predictions) == sum(sure["fitted"].predictions)


def test_picks_equal_a_plain_recomputation(world):
    model, same, _ = world
    rows = [tuple(int(word[1:]) for word in item.text.split()) for item in same.items]
    choices = choices_of(rows, [PROMPT] * len(rows), 2, seed=2)
    assert len(choices) == 2 * PASSAGES
    expected = []
    for item in choices:
        own = rows[item.passage]
        start = len(item.opening)
        assert start in (PROMPT, PROMPT + TOKENS)
        assert item.candidates[0] == own[start : start + TOKENS]
        assert len(set(item.candidates)) == CANDIDATES
        assert all(
            any(other[start : start + TOKENS] == found for other in rows if other != own)
            for found in item.candidates[1:]
        )
        scores = []
        for found in item.candidates:
            with torch.no_grad():
                logits = model.hf(torch.tensor([item.opening + found])).logits[0].double()
            nats = torch.log_softmax(logits, -1)[start - 1 : -1]
            scores.append(float(nats[torch.arange(TOKENS), torch.tensor(found)].mean()))
        expected.append(float(np.argmax(scores) == 0))
    found = right(Reference(model, model.tokenizer), choices)
    assert found.tolist() == expected
    assert by_passage(found, choices)[0] == np.mean(
        [value for value, item in zip(expected, choices, strict=True) if item.passage == 0]
    )


def test_equal_continuations_share_the_pick(make_tiny):
    model = make_tiny(0)
    rows = [(number, *range(1, TOKENS + 1)) for number in range(5)]
    choices = choices_of(rows, [1] * 5, 3, seed=0)
    assert len(choices) == 5
    assert right(Reference(model, model.tokenizer), choices) == pytest.approx(1 / CANDIDATES)


def test_passages_that_are_too_short_or_too_few_give_no_choice():
    rows = [tuple(range(1, 30)), tuple(range(9)), tuple(range(30)), tuple(range(2, 32))]
    assert choices_of(rows, [5] * 4, 2, seed=0) == []
    more = [*rows, tuple(range(3, 33))]
    found = choices_of(more, [5] * 5, 2, seed=0)
    assert sorted(item.passage for item in found) == [0, 2, 3, 4]


def test_a_base_that_picks_at_random_leaves_it_undecided(tiny_pair, words):
    sizes = replace(LONG, prompts=6, choices=1)
    model, fitted = tiny_pair
    world = (model, words(6, 0, 40, 40), words(6, 1, 40, 40))
    _, claim = evaluated(retention.CLAIM, study_of(world, fitted, sizes=sizes))
    assert claim.verdict is Verdict.INCONCLUSIVE
    assert "no better than chance" in claim.why
    world = (model, words(3, 0, 40, 40), words(3, 1, 40, 40))
    result, claim = evaluated(retention.CLAIM, study_of(world, fitted, sizes=sizes))
    assert claim.verdict is Verdict.INCONCLUSIVE
    assert "fewer than 4 passages" in claim.why
    assert result.texts[0].loss.delta.value is not None


def test_the_control_stands_beside_the_fitted_model(world):
    study = study_of(world, noisy(world[0], 2.0), control=noisy(world[0], 0.001))
    result, _ = evaluated(retention.CLAIM, study)
    assert list(result.accuracy) == ["fitted", "control"]
    lost = {(it.text, it.model): it.accuracy.delta.value for it in result.texts}
    assert lost["other", "control"] > lost["other", "fitted"]
    models = [line["model"] for line in result.tables()[1].records()]
    assert models[:5] == ["base", "fitted", "fitted − base", "control", "control − base"]


def test_the_built_in_text_of_another_kind_is_read_by_default(world):
    sizes = replace(LONG, prompts=4, choices=1)
    fitted = noisy(world[0], 0.001)
    report = hi.compare(world[0], fitted, prompts=world[1], sizes=sizes, claims="retention")
    assert report.retention.texts[1].origin == "built-in text of other kinds, 4 of 48"
    names = [item.prompt_id for item in report.retention.picks if item.text == "other"]
    assert [name.partition("-")[0] for name in names] == [
        "instructions", "letters", "dialogue", "reports",
    ]  # fmt: skip
    assert hi.Report.from_json(report.to_json()).retention == report.retention


def test_built_in_text_that_cannot_be_read_is_left_out(world, monkeypatch):
    short = Passages((Passage("1", "w1"),), "built-in")
    monkeypatch.setattr(measurement, "builtin_passages", lambda _: short)
    result, claim = evaluated(retention.CLAIM, study_of(world, world[0], other=False))
    assert claim.verdict is Verdict.SUPPORTED
    assert {item.text for item in result.texts} == {"held-out"}
    assert result.left_out.startswith("The built-in was left out: ")
    assert result.left_out in result.tables()[0].note
    assert [key for key, _ in result.charts()[1].variants()] == ["held-out"]


def test_the_figures_show_every_model_and_chance():
    result = factory.retention(factory.Maker())
    drawn = result.plot("retained")
    assert len(drawn.data) == 6
    assert [note.text for note in drawn.layout.annotations] == ["chance"]
    curves = result.plot("reliability", text="other").data
    assert [curve.name for curve in curves] == ["as sure as right", "base", "fitted", "control"]
