"""C10: texts of known quality get the verdict that they deserve; few are generated here."""

import random
from dataclasses import replace

import numpy as np
import pytest
import torch

import hyperinterp as hi
from hyperinterp.analyses.reference import Reference
from hyperinterp.claims import quality
from hyperinterp.claims.quality import likeness as measure
from hyperinterp.claims.quality.arms import BASE, FITTED, HALVES, HUMAN, remedies
from hyperinterp.claims.quality.counting import Written
from hyperinterp.claims.quality.judging import judged
from hyperinterp.claims.quality.likeness import likeness
from hyperinterp.claims.quality.measurement import _of_the_pair, quantities
from hyperinterp.claims.quality.words import beats, caveat
from hyperinterp.claims.running import evaluated
from hyperinterp.claims.spec import Verdict
from hyperinterp.claims.verdict import judge
from hyperinterp.errors import InputRefused
from hyperinterp.generation import Decoding, generate
from hyperinterp.models import HookedModel
from hyperinterp.text import TokenRows
from probes import fresh_tokens, mauve

from ...report import factory
from ..conftest import SIZES, tiny_llama, word_tokenizer

PROMPTS, TOKENS = 12, 20
CRITERIA = [item.key for item in quality.CLAIM.rule.criteria]


@pytest.fixture(scope="module")
def world(make_tiny):
    """A model that knows how people write: human text is its own, drawn at T = 1."""
    model, draw = make_tiny(0), random.Random(1)
    rows = tuple(tuple(draw.randrange(1, 151) for _ in range(6)) for _ in range(PROMPTS))
    prompts = TokenRows(rows, tuple(range(PROMPTS)), 6, 0)
    arms = [Decoding("greedy"), Decoding("human", seed=3), Decoding("hot", 2.0, seed=4)]
    texts = {k: v.rows for k, v in generate(model, prompts, arms, new_tokens=TOKENS).items()}
    return model, rows, texts


def judge_of(world, fitted, **more):
    """The result and the claim for texts of the fitted model; `human` and `base` likewise."""
    model, rows, texts = world
    every = tuple(range(len(rows)))
    given = {
        HUMAN: Written(every, more.get("human", texts["human"])),
        BASE: Written(every, more.get("base", texts["greedy"])),
        FITTED: Written(every, fitted),
    }
    reference = more.get("reference", Reference(model, model.tokenizer))
    result = judged(reference, rows, given, window=TOKENS)
    return result, judge(quality.CLAIM, quantities(result))


def outcome(claim, key):
    return claim.conditions[CRITERIA.index(key)].outcome


def by_source(result):
    return {item.source: item for item in result.texts}


def test_human_text_against_itself_is_good(world):
    result, claim = judge_of(world, world[2]["human"])
    assert claim.verdict is Verdict.SUPPORTED
    assert (result.excess.value, result.shocking.value, result.gain_share.value) == (0, 0, 1)


def test_hot_random_and_shuffled_text_is_not(world):
    draw = random.Random(5)
    noise = tuple(tuple(draw.randrange(151) for _ in range(TOKENS)) for _ in range(PROMPTS))
    shuffled = tuple(tuple(draw.sample(row, len(row))) for row in world[2]["human"])
    for texts in (world[2]["hot"], noise, shuffled):
        result, claim = judge_of(world, texts)
        assert outcome(claim, "fresh") is Verdict.NOT_SUPPORTED
        assert claim.verdict is Verdict.NOT_SUPPORTED
        assert result.shocking.value > 0


def test_loops_fail_the_distance_and_hide_nothing(world):
    loops = tuple(row[:4] * 6 for row in world[2]["greedy"])
    result, claim = judge_of(world, loops, base=loops)
    assert outcome(claim, "fresh") is Verdict.SUPPORTED
    assert outcome(claim, "distance") is Verdict.NOT_SUPPORTED
    draw = random.Random(6)
    noisy = tuple(tuple(draw.randrange(151) for _ in range(4)) * 6 for _ in range(PROMPTS))
    result, claim = judge_of(world, noisy)
    found = by_source(result)[FITTED]
    assert outcome(claim, "fresh") is Verdict.NOT_SUPPORTED
    assert found.fresh.value > found.surprisal.value
    assert found.fresh_share.value < 0.5


def test_quantities_equal_a_plain_recomputation(world):
    model, rows, texts = world
    result, _ = judge_of(world, texts["hot"])

    def nats(prompt, text):
        with torch.no_grad():
            logits = model.hf(torch.tensor([prompt + text])).logits[0].double()
        chosen = torch.log_softmax(logits, -1)[len(prompt) - 1 : -1]
        return -chosen[torch.arange(len(text)), torch.tensor(text)]

    def pooled(items):
        own = [nats(p, t) for p, t in zip(rows, items, strict=True)]
        fresh = [fresh_tokens(p, t) for p, t in zip(rows, items, strict=True)]
        return own, torch.cat([n[f] for n, f in zip(own, fresh, strict=True)])

    people, fitted = pooled(texts["human"]), pooled(texts["hot"])
    found = by_source(result)[FITTED]
    assert found.fresh.value == pytest.approx(float(fitted[1].mean()), rel=1e-5)
    assert found.surprisal.value == pytest.approx(float(torch.cat(fitted[0]).mean()), rel=1e-5)
    length = sum(len(model.tokenizer.decode(text).encode()) for text in texts["hot"])
    bits = float(torch.cat(fitted[0]).sum()) / np.log(2)
    assert found.bits_per_byte.value == pytest.approx(bits / length, rel=1e-5)
    beyond = float(torch.quantile(people[1], 0.99))
    assert found.shocking.value == pytest.approx(float((fitted[1] > beyond).double().mean()))
    other = [nats(p, t) for p, t in zip((*rows[1:], rows[0]), texts["hot"], strict=True)]
    gain = torch.cat(other).mean() - torch.cat(fitted[0]).mean()
    assert found.gain.value == pytest.approx(float(gain), rel=1e-4)
    apart = [abs(float(a.mean() - b.mean())) for a, b in zip(people[0], fitted[0], strict=True)]
    assert found.distance.value == pytest.approx(np.mean(apart), rel=1e-4)
    assert result.excess.value == pytest.approx(found.fresh.value - float(people[1].mean()))
    halves = [by_source(result)[name].fresh for name in HALVES]
    assert result.noise_floor.value == pytest.approx(halves[0].value - halves[1].value)
    assert sum(half.n for half in halves) == PROMPTS
    assert result.noise_floor.lo < 0 < result.noise_floor.hi


def reversed_ids(model):
    """The same function of the text with another tokenizer: word k has the id 150 - k."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    hf = tiny_llama(0)
    with torch.no_grad():
        for part in (hf.get_input_embeddings(), hf.get_output_embeddings()):
            part.weight.copy_(part.weight.flip(0))
    words = {f"w{number}": 150 - number for number in range(151)}
    backend = Tokenizer(models.WordLevel(words, unk_token="w0"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    return HookedModel(hf, PreTrainedTokenizerFast(tokenizer_object=backend), name="reversed")


def test_a_reference_with_another_tokenizer_reads_the_text(world):
    model, _, texts = world
    plain = {k: tuple(tuple(max(t, 1) for t in row) for row in v) for k, v in texts.items()}
    given = {"human": plain["human"], "base": plain["greedy"]}
    expected, _ = judge_of(world, plain["hot"], **given)
    reference = Reference(reversed_ids(model), model.tokenizer, batch_size=3)
    found, _ = judge_of(world, plain["hot"], **given, reference=reference)
    assert found.reads_text
    assert not expected.reads_text
    for ours, theirs in zip(found.texts, expected.texts, strict=True):
        assert ours.fresh.value == pytest.approx(theirs.fresh.value, rel=1e-4)
        assert ours.gain.value == pytest.approx(theirs.gain.value, rel=1e-3)


def test_a_token_across_the_border_belongs_to_the_text(make_tiny):
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    pieces = ["?", *(f"{a}{b}" for a in "w0123456789 " for b in " w0123456789"), *"w0123456789 "]
    backend = Tokenizer(
        models.WordLevel({t: k for k, t in enumerate(dict.fromkeys(pieces))}, unk_token="?")
    )
    backend.pre_tokenizer = pre_tokenizers.Split(Regex("..?"), "isolated")  # two characters each
    model = make_tiny(0)
    twos = model.reading_with(PreTrainedTokenizerFast(tokenizer_object=backend))
    ((prompt, ids),) = Reference(twos, model.tokenizer).rows([((1, 2), (13, 44))])
    whole = "w1 w2 w13 w44"
    spoken = [backend.id_to_token(token) for token in (*prompt, *ids)]
    assert "".join(spoken) == whole
    assert spoken[: len(prompt)] == ["w1", " w"]
    assert spoken[len(prompt)] == "2 "


def test_every_source_of_a_study_is_measured_on_the_same_passages(tiny_pair, make_study):
    study = make_study(tiny_pair)
    result, claim = evaluated(quality.CLAIM, study)
    found = by_source(result)
    arms = [arm.name for arm in remedies(0, ())]
    assert list(found) == [HUMAN, *HALVES, BASE, FITTED, *arms]
    assert {found[name].fresh.n for name in arms} == {study.sizes.control_prompts}
    assert found[FITTED].fresh.n == len(study.heldout.prompts)
    assert {found[name].kind for name in arms} == {"remedy"}
    assert claim.effect == result.excess.value
    # 24 tokens of a passage, 6 of them given
    greedy = study.shared.texts.greedy("base").rows[0][:18]
    assert found[BASE].ttr.n == len(study.heldout.prompts)
    assert next(item.tokens for item in result.prompts if item.source == BASE) == len(greedy)
    assert "200" in found[FITTED].mauve.reason
    assert (result.judge, "the base judges itself" in result.tables()[0].note) == ("base", True)
    assert _of_the_pair(study, study.fitted) == "fitted"
    assert "the fitted model judges itself" in caveat(
        replace(claim, verdict=Verdict.SUPPORTED), replace(result, judge="fitted")
    )


def test_the_most_diverse_remedy_that_is_still_good_stands_beside_the_claim():
    result = factory.quality(factory.Maker())
    told = {item.words: item.measured.value for item in beats(result, {})}
    assert list(told)[1:3] == [BASE, "base, T = 1.5"]
    assert told["type-token ratio, base, repetition penalty 1.2"] == 0.915
    assert told["of the fitted model, on all prompts"] == 0.532


def test_the_plane_has_every_source_with_intervals_both_ways_and_people_at_0():
    result = factory.quality(factory.Maker())
    points = result.plot("plane").data
    assert len(points) == len(result.texts)
    assert (points[0].name, points[0].marker.symbol, points[0].x[0]) == ("human", "star", 0)
    for point, item in zip(points, result.texts, strict=True):
        assert (point.x[0], point.y[0]) == (item.excess.value, item.ttr.value)
        assert point.error_x.array[0] > 0
        assert point.error_y.array[0] > 0
    levels = {
        quantity: result.plot("quantities", quantity=quantity).layout.annotations
        for quantity in ("fresh", "gain", "distance", "ttr")
    }
    told = {key: [note.text for note in notes] for key, notes in levels.items()}
    assert told == {
        "fresh": ["human + 0.5"], "gain": ["0.5 x human"], "distance": ["the base's"], "ttr": [],
    }  # fmt: skip


def test_passages_that_end_with_the_prompt_leave_it_undecided(tiny_pair, make_study, words):
    result, claim = evaluated(quality.CLAIM, make_study(tiny_pair, passages=words(3, 0, 6, 9)))
    assert claim.verdict is Verdict.INCONCLUSIVE
    assert "16 tokens after the prompt" in claim.why
    assert result.shocking_beyond is None
    assert not list(result.charts()[0].variants())


def test_another_judge_is_named_in_the_report(tiny_pair, words):
    sizes = replace(SIZES, control_prompts=2, new_tokens=16, window=16)
    given = {"prompts": words(2), "sizes": sizes, "claims": "C10"}
    other = HookedModel(tiny_llama(5), word_tokenizer(), name="judge", fingerprint="2" * 64)
    report = hi.compare(*tiny_pair, **given, reference=other)
    assert (report.quality.judge, report.quality.reference) == ("other", "judge")
    assert "--reference" not in report.quality.tables()[0].note
    assert [item.role for item in report.provenance.checkpoints] == ["base", "fitted", "reference"]
    assert hi.Report.from_json(report.to_json()).quality == report.quality


def test_a_reference_that_cannot_read_is_refused(tiny_pair, words):
    with pytest.raises(InputRefused, match="mute: expected a tokenizer"):
        hi.compare(*tiny_pair, prompts=words(4), reference=HookedModel(tiny_llama(1), name="mute"))
    with pytest.raises(InputRefused, match="reference: expected"):
        hi.compare(*tiny_pair, prompts=words(4), reference=3)


def test_likeness_is_mauve_from_200_texts_on(monkeypatch):
    monkeypatch.setattr(measure, "DRAWS", 20)
    draw = torch.Generator().manual_seed(0)
    ours, theirs = (torch.randn(200, 4, generator=draw) + shift for shift in (0, 0.3))
    found = likeness(ours, theirs, 200, seed=0)
    assert found.value == mauve(ours, theirs, seed=0).value
    assert 0 <= found.lo < found.value <= found.hi <= 1
    assert "at least 200 texts, found 199" in likeness(ours, theirs, 199, seed=0).reason
