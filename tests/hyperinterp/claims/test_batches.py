"""Texts of all claims: one call of generation for all models, and the same texts as alone."""

from hyperinterp import generation, generations
from hyperinterp.claims import diversity
from hyperinterp.claims.running import evaluated
from hyperinterp.claims.static_bias import measurement as static_bias
from hyperinterp.claims.temperature import measurement as temperature
from hyperinterp.comparison import compare
from hyperinterp.generation import GREEDY, Decoding

from .conftest import SIZES


def test_all_models_write_all_their_texts_in_one_call(tiny_pair, make_study, monkeypatch):
    made = make_study(tiny_pair)
    calls = []

    def counted(writers, **rest):
        calls.append([(writer.model.name, {arm.name for arm in writer.arms}) for writer in writers])
        return generation.write_all(writers, **rest)

    monkeypatch.setattr(generations, "write_all", counted)
    report = compare(
        *tiny_pair, prompts=made.passages, sizes=SIZES, claims="C1,C2,C3,C4", batch_size=4
    )
    base, fitted = (model.name for model in tiny_pair)
    assert [[name for name, _ in call] for call in calls] == [[base, fitted]]
    arms = dict(calls[0])
    assert {GREEDY.name, "mean shift, alpha 0.5", "fitted bias, alpha 1"} <= arms[base]
    assert sum(name.startswith("base sampled") for name in arms[base]) == 4 * SIZES.seeds
    assert arms[fitted] == {GREEDY.name, "fitted sampled #0", "fitted sampled #1"}
    texts = 2 * len(made.heldout.prompts) + SIZES.control_prompts * (len(arms[base]) + 1)
    assert report.provenance.forwards["texts generated"] == texts


def test_texts_are_those_of_every_arm_alone(tiny_pair, make_study):
    together = make_study(tiny_pair)
    for module in (temperature, static_bias):
        module.prepare(together)
    merged = evaluated(diversity.CLAIM, together)[0]
    assert merged == evaluated(diversity.CLAIM, make_study(tiny_pair))[0]
    alone = make_study(tiny_pair)
    arm = Decoding("base sampled #0", 1.0, 0, rows=alone.heldout.control_rows)
    expected = alone.shared.texts.write(alone.base, [arm])[arm.name]
    assert together.shared.texts.of("base", arm.name) == expected


def test_a_shared_run_is_made_once(tiny_pair, make_study):
    made = make_study(tiny_pair, wanted=("moments",))
    assert made.shared.contexts is made.shared.contexts
    assert made.shared.geometry is made.shared.geometry
    forwards = made.run.log.forwards
    assert (forwards["base over the passages"], forwards["fitted over the passages"]) == (2, 2)
