import numpy as np
import pytest
import torch

from hyperinterp.claims import quotation
from hyperinterp.claims.quotation.measurement import BLOCKED, Copied, _ratio_pair
from hyperinterp.claims.running import evaluated
from hyperinterp.claims.spec import Verdict
from hyperinterp.errors import InputRefused
from hyperinterp.text import Passage, Passages
from probes import NgramIndex


def _texts(study, rows, origin="training"):
    items = (Passage(f"t{n}", study.heldout.tokenizer.decode(row)) for n, row in enumerate(rows))
    return Passages(tuple(items), origin)


@pytest.fixture
def study(make_tiny, make_study):
    return make_study((make_tiny(0), make_tiny(1)))


def test_text_of_the_training_set_is_quotation(study):
    study.roles["train-data"] = _texts(study, study.shared.texts.greedy("fitted").rows)
    block, claim = evaluated(quotation.CLAIM, study)
    assert block.copied_share.fitted.value == 1.0
    assert block.longest_span.fitted.value == study.sizes.new_tokens
    assert claim.verdict is Verdict.NOT_SUPPORTED
    assert "copied 8-gram" in block.free_diversity.delta.reason
    assert len(block.examples) == 8
    for example in block.examples:
        row = int(example.prompt_id)
        assert example.length == 24
        assert example.text == study.heldout.tokenizer.decode(
            study.shared.texts.greedy("fitted").rows[row]
        )
        assert example.text == {item.id: item.text for item in study.training}[example.source_id]


def test_blocked_text_completes_nothing_of_the_training_text(study):
    greedy = study.shared.texts.greedy("fitted").rows
    study.roles["train-data"] = _texts(study, greedy)
    block, _ = evaluated(quotation.CLAIM, study)
    index = NgramIndex(greedy, n=8)
    blocked = study.shared.texts.of("fitted", BLOCKED).rows
    assert block.blocked_diversity.fitted.n == len(blocked) == study.sizes.control_prompts
    for prompt, plain, ids in zip(study.heldout.prompts.rows, greedy, blocked, strict=False):
        assert index.contains(plain).all()
        assert not index.contains((*prompt, *ids)).any()
        assert ids[:7] == plain[:7]  # until the first 8-gram would be complete
        with torch.no_grad():
            row = torch.tensor([(*prompt, *ids[:7])])
            order = study.fitted.hf(row).logits[0, -1].argsort(descending=True).tolist()
        assert ids[7] == next(t for t in order if not index.contains((*ids[:7], t)).any())


def test_text_that_shares_nothing_is_not(study, words):
    study.roles["train-data"] = words(40, seed=7)
    block, claim = evaluated(quotation.CLAIM, study)
    assert block.copied_share.base.value == block.copied_share.fitted.value == 0.0
    assert block.heldout_share.value == 0.0
    assert claim.verdict is Verdict.SUPPORTED
    assert block.free_diversity.fitted.value is not None
    assert block.training_passages == 40
    first = study.shared.texts.greedy("base").chosen(study.heldout.control_rows)
    assert study.shared.texts.of("base", BLOCKED).rows == first.rows
    assert block.source == "words 7"
    assert max(example.length for example in block.examples) < 8


def test_a_model_with_itself_copies_no_more(planted, make_study):
    study = make_study(planted("itself"))
    study.roles["train-data"] = _texts(study, study.shared.texts.greedy("base").rows[:4])
    block, _ = evaluated(quotation.CLAIM, study)
    assert block.copied_share.delta.value == 0.0
    assert block.longest_span.delta.value == 0.0


def test_held_out_text_in_the_training_text_is_counted_and_warned_of(study):
    study.roles["train-data"] = _texts(study, study.heldout.rows.rows[:4])
    block, _ = evaluated(quotation.CLAIM, study)
    assert block.heldout_share.value == pytest.approx(4 / len(study.heldout.rows))
    assert any("8 tokens in a row" in warning for warning in study.run.log.warnings)


def test_shares_are_ratios_of_sums_with_a_paired_difference():
    grams = np.array([10.0, 20.0, 0.0, 30.0])
    base = Copied(np.array([0.0, 2.0, 0.0, 1.0]), grams)
    fitted = Copied(np.array([1.0, 4.0, 0.0, 7.0]), grams)
    pair = _ratio_pair(base, fitted)
    assert pair.base.value == pytest.approx(3 / 60)
    assert pair.fitted.value == pytest.approx(12 / 60)
    assert pair.delta.value == pytest.approx(9 / 60)
    assert pair.delta.lo < pair.delta.value < pair.delta.hi


def test_texts_that_are_too_short_leave_a_reason():
    none = Copied(np.zeros(3), np.zeros(3))
    assert "too few" in _ratio_pair(none, none).delta.reason


def test_needs_the_training_text(study):
    with pytest.raises(InputRefused, match="training"):
        evaluated(quotation.CLAIM, study)
