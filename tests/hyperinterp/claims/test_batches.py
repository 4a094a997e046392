"""Texts of all claims: one call of generation for all models, and the same texts as alone."""

from hyperinterp import continuations, generation
from hyperinterp.claims import diversity
from hyperinterp.claims.running import evaluated
from hyperinterp.claims.static_bias import measurement as static_bias
from hyperinterp.claims.temperature import measurement as temperature
from hyperinterp.compare import compare
from hyperinterp.generation import GREEDY, Decoding

from .conftest import SIZES


def test_all_models_write_all_their_texts_in_one_call(tiny_pair, make_study, monkeypatch):
    made = make_study(tiny_pair)
    calls = []

    def counted(writers, **rest):
        calls.append([(writer.model.name, {arm.name for arm in writer.arms}) for writer in writers])
        return generation.write_all(writers, **rest)

    monkeypatch.setattr(continuations, "write_all", counted)
    report = compare(
        *tiny_pair, prompts=made.passages, sizes=SIZES, claims="C1,C2,C3,C4", batch_size=4
    )
    base, fitted = (model.name for model in tiny_pair)
    assert [[name for name, _ in call] for call in calls] == [[base, fitted]]
    arms = dict(calls[0])
    assert {GREEDY.name, "mean shift, alpha 0.5", "fitted bias, alpha 1"} <= arms[base]
    assert sum(name.startswith("base sampled") for name in arms[base]) == 4 * SIZES.seeds
    assert arms[fitted] == {GREEDY.name, "fitted sampled #0", "fitted sampled #1"}
    texts = 2 * len(made.prompt_rows) + SIZES.control_prompts * (len(arms[base]) + 1)
    assert report.provenance.forwards["continuations generated"] == texts


def test_texts_are_those_of_every_arm_alone(tiny_pair, make_study):
    together = make_study(tiny_pair)
    for module in (temperature, static_bias):
        together.once(module.prepare)
    merged = evaluated(diversity.CLAIM, together)[0]
    assert merged == evaluated(diversity.CLAIM, make_study(tiny_pair))[0]
    alone = make_study(tiny_pair)
    arm = Decoding("base sampled #0", 1.0, 0, rows=alone.control_rows)
    expected = alone.texts.write(alone.base, [arm])[arm.name]
    assert together.texts.of("base", arm.name) == expected


def test_what_is_made_once_is_kept(tiny_pair, make_study):
    made, calls = make_study(tiny_pair), []
    for _ in range(2):
        assert made.once(lambda study: calls.append(study) or 7) == 7
    assert len(calls) == 2  # two functions
    make = calls.append
    made.once(make)
    made.once(make)
    assert len(calls) == 3
