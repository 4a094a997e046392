"""C4 on planted pairs, and its counts against plain recomputation."""

import pytest
import torch

from hyperinterp.analyses.bias_fit import logit_map
from hyperinterp.analyses.on_policy import on_policy_contexts
from hyperinterp.claims import reranking
from hyperinterp.claims.running import evaluated
from hyperinterp.claims.spec import Verdict
from hyperinterp.errors import InputRefused
from hyperinterp.frequencies import Frequencies
from hyperinterp.generation import Generated
from probes import FREQUENCY_CLASSES
from tests.hyperinterp.claims.planted import TEMPERATURE

from ..tiny import changed


@pytest.mark.parametrize("kind", ["itself", "temperature"])
def test_the_same_order_is_never_an_override(planted, make_study, kind):
    block, claim = evaluated(reranking.CLAIM, make_study(planted(kind)))
    assert block.teacher_forced.override_rate.value == 0
    assert block.teacher_forced.buckets[1:] == (0, 0, 0, 0)
    assert block.teacher_forced.spearman.value == pytest.approx(1, abs=1e-6)
    assert block.lens is None
    assert claim.verdict is Verdict.NOT_SUPPORTED


def test_a_static_bias_is_recognised_as_static(planted, make_study):
    block, claim = evaluated(reranking.CLAIM, make_study(planted("static bias")))
    assert block.teacher_forced.override_rate.value > 0.2
    assert block.teacher_forced.after_static.value == 0
    assert claim.verdict is Verdict.NOT_SUPPORTED


def test_a_temperature_with_a_static_bias_is_recognised_as_context_free(planted, make_study):
    study = make_study(planted("temperature and bias"))
    scale, _ = logit_map(study, study.shared.contexts)
    assert scale == pytest.approx(1 / TEMPERATURE, rel=1e-4)
    block, claim = evaluated(reranking.CLAIM, study)
    assert block.teacher_forced.override_rate.value > 0.2
    assert block.teacher_forced.after_static.value == 0
    assert claim.verdict is Verdict.NOT_SUPPORTED


def test_what_no_scale_and_shift_explains_is_among_the_overrides(planted, make_study):
    block, _ = evaluated(reranking.CLAIM, make_study(planted("first block")))
    found = block.teacher_forced
    assert 0 < found.after_static.value <= found.override_rate.value


def test_a_changed_block_reorders_by_context(planted, make_study):
    block, claim = evaluated(reranking.CLAIM, make_study(planted("last block")))
    assert block.teacher_forced.after_static.lo > 0.05
    assert claim.verdict is Verdict.SUPPORTED
    assert block.lens is not None
    assert sum(block.lens.overtake) + block.lens.never == block.lens.n_contexts
    assert len(block.lens.depths) == 4
    assert block.on_policy is not None
    assert block.on_policy.n_contexts > 0


def test_counts_equal_a_plain_recomputation(planted, make_study):
    base, fitted = planted("first block")
    study = make_study((base, fitted))
    block, _ = evaluated(reranking.CLAIM, study)
    found = []
    for row in study.heldout.rows.rows:
        ids = torch.tensor([row])
        ours, theirs = base.logits(ids)[0, 1:-1], fitted.logits(ids)[0, 1:-1]
        order = ours.argsort(dim=-1, descending=True, stable=True)
        found += ((order == theirs.argmax(-1, keepdim=True)).int().argmax(-1) + 1).tolist()
    edges = [(1, 1), (2, 10), (11, 100), (101, 1000), (1001, 10**9)]
    counts = tuple(sum(low <= rank <= high for rank in found) for low, high in edges)
    assert block.teacher_forced.buckets == counts
    assert block.teacher_forced.n_contexts == len(found)
    rate = sum(rank > 1 for rank in found) / len(found)
    assert block.teacher_forced.override_rate.value == pytest.approx(rate)
    assert sum(map(sum, block.teacher_forced.flow)) == (
        block.teacher_forced.flow_contexts * base.vocab_size
    )


def test_on_policy_text_begins_where_each_prompt_ends(planted, make_study, words):
    study = make_study(planted("last block"), passages=words(8, 0, 4, 24), prompt_tokens=20)
    prompts, written = study.heldout.prompts.rows, study.shared.texts.greedy("fitted").rows
    assert len(set(map(len, prompts))) > 2
    contexts = on_policy_contexts(study)
    for row, (prompt, text) in enumerate(zip(prompts, written, strict=True)):
        mine = contexts.where(contexts.row == row)
        first = len(prompt) - 1
        assert mine.position.tolist() == list(range(first, first + len(text)))
        assert tuple(mine.target.tolist()) == text
        ids = torch.tensor([prompt + text])
        hidden = study.fitted.run(ids)[0, first : first + len(text)]
        assert torch.allclose(mine.fitted, hidden, atol=1e-4)
    few = make_study(
        planted("last block"), passages=words(8, 0, 4, 24), prompt_tokens=20, contexts_per_prompt=3
    )
    contexts = on_policy_contexts(few)
    for row, prompt in enumerate(prompts):
        positions = contexts.position[contexts.row == row].tolist()
        assert len(positions) == 3
        assert positions[0] == len(prompt) - 1


@pytest.mark.parametrize("kept", [0, 1, 2])
def test_on_policy_ranks_need_two_texts(planted, make_study, kept):
    study = make_study(planted("last block"))
    whole = study.shared.texts.greedy("fitted")
    rows = tuple(text if number < kept else () for number, text in enumerate(whole.rows))
    study.shared.texts._written["fitted"]["greedy"] = Generated(rows, whole.ended)
    block, _ = evaluated(reranking.CLAIM, study)
    assert (block.on_policy is None) == (kept < 2)
    assert any("on-policy" in words for words in study.run.log.warnings) == (kept < 2)


@pytest.mark.parametrize("count", [2, 3])
def test_a_half_of_one_prompt_has_a_rate_without_an_interval(planted, make_study, words, count):
    block, claim = evaluated(
        reranking.CLAIM, make_study(planted("last block"), passages=words(count))
    )
    halves = block.teacher_forced.halves
    assert min(half.n for half in halves) == 1
    for half in halves:
        assert half.value > 0.2
        assert (half.lo is None) == (half.n == 1)
    assert claim.verdict is Verdict.INCONCLUSIVE


def test_contexts_without_an_order_have_no_correlation(make_tiny, make_study):
    base = make_tiny()
    fitted = changed(base, lambda hf: hf.lm_head.weight.zero_())
    block, _ = evaluated(reranking.CLAIM, make_study((base, fitted)))
    assert block.teacher_forced.spearman.value is None
    assert "same logit" in block.teacher_forced.spearman.reason
    assert block.teacher_forced.rbo.value is not None


def test_promoted_tokens_come_with_ranks_and_context(planted, make_study):
    block, _ = evaluated(reranking.CLAIM, make_study(planted("last block")))
    first = block.teacher_forced.promoted[0]
    assert first.count >= 1
    assert first.median_rank > 1
    assert first.example
    total = sum(promoted for promoted, _ in block.teacher_forced.classes.values())
    assert total == sum(block.teacher_forced.buckets[1:])


def test_a_frequency_table_decides_the_classes(planted, make_study):
    study = make_study(planted("last block"))
    study.roles["frequencies"] = Frequencies(
        {token: 1000 + token for token in range(100)}, "a table"
    )
    block, _ = evaluated(reranking.CLAIM, study)
    assert block.frequency_source == "a table"
    for shift in (*block.teacher_forced.promoted, *block.teacher_forced.demoted):
        assert (shift.frequency_class == FREQUENCY_CLASSES[0]) == (shift.token_id >= 100)


def test_a_frequency_table_of_another_vocabulary_is_refused(planted, make_study):
    study = make_study(planted("last block"))
    study.roles["frequencies"] = Frequencies({100_000: 3})
    with pytest.raises(InputRefused, match="below 151, found 100000"):
        evaluated(reranking.CLAIM, study)
