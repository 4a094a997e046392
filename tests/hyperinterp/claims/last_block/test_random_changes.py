"""Random changes of blocks: each is drawn once, however the passages are cut and grouped."""

from dataclasses import asdict, replace

import pytest

from hyperinterp.claims import last_block
from hyperinterp.claims.last_block import random_changes
from hyperinterp.claims.running import evaluated
from probes import CounterNormal


@pytest.fixture
def judged(tiny_pair, make_study, monkeypatch):
    """A function (rows per batch, room for changed blocks) -> result, numbers drawn, log."""

    def run(batch_size, room=1 << 40):
        study = make_study(
            tiny_pair, patch_prompts=5, null_draws=2, null_blocks=3, stitched=0,
            contexts_per_prompt=4,
        )  # fmt: skip
        study.run = replace(study.run, batch_size=batch_size)
        drawn, draw = [], CounterNormal.draw

        def counted(self, shape, device="cpu"):
            found = draw(self, shape, device)
            drawn.append(found.numel())
            return found

        monkeypatch.setattr(CounterNormal, "draw", counted)
        monkeypatch.setattr(random_changes, "room", lambda *_given: room)
        result, _ = evaluated(last_block.CLAIM, study)
        monkeypatch.setattr(CounterNormal, "draw", draw)
        return result, sum(drawn), study.run.log.forwards

    return run


def test_draws_do_not_depend_on_the_number_of_batches(judged):
    whole, most, _ = judged(5)
    cut, count, _ = judged(1)
    assert count == most > 0
    assert len(whole.nulls) == len(cut.nulls) > 0
    for one, other in zip(whole.nulls, cut.nulls, strict=True):
        assert one.recovered_kl == pytest.approx(other.recovered_kl, abs=1e-4)


def test_changes_that_do_not_fit_together_are_put_in_by_turns(judged):
    whole, most, once = judged(2)
    grouped, count, often = judged(2, room=0)
    assert count == most
    name = "base over the passages of the patches"
    assert (once[name], often[name]) == (1, sum(band.draws for band in whole.nulls))
    assert asdict(grouped) == asdict(whole) | {"replays": grouped.replays}
