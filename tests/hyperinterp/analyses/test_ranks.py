"""C4 on planted pairs, and its counts against plain recomputation."""

import pytest
import torch

from hyperinterp.analyses import ranks
from hyperinterp.analyses.bias_fit import scale_and_shift
from hyperinterp.analyses.results import Verdict
from hyperinterp.errors import InputRefused
from hyperinterp.frequencies import Frequencies
from probes import FREQUENCY_CLASSES
from tests.hyperinterp.analyses.planted import TEMPERATURE


@pytest.mark.parametrize("kind", ["itself", "temperature"])
def test_the_same_order_is_never_an_override(planted, make_study, kind):
    block, claim = ranks.analyse(make_study(planted(kind)))
    assert block.teacher_forced.override_rate.value == 0
    assert block.teacher_forced.buckets[1:] == (0, 0, 0, 0)
    assert block.teacher_forced.spearman.value == pytest.approx(1, abs=1e-6)
    assert block.lens is None
    assert claim.verdict is Verdict.NOT_SUPPORTED


def test_a_static_bias_is_recognised_as_static(planted, make_study):
    block, claim = ranks.analyse(make_study(planted("static bias")))
    assert block.teacher_forced.override_rate.value > 0.2
    assert block.teacher_forced.after_static.value == 0
    assert claim.verdict is Verdict.NOT_SUPPORTED


def test_a_temperature_with_a_static_bias_is_recognised_as_context_free(planted, make_study):
    study = make_study(planted("temperature and bias"))
    scale, _ = scale_and_shift(study, study.contexts)
    assert scale == pytest.approx(1 / TEMPERATURE, rel=1e-4)
    block, claim = ranks.analyse(study)
    assert block.teacher_forced.override_rate.value > 0.2
    assert block.teacher_forced.after_static.value == 0
    assert claim.verdict is Verdict.NOT_SUPPORTED


def test_what_no_scale_and_shift_explains_is_among_the_overrides(planted, make_study):
    block, _ = ranks.analyse(make_study(planted("first block")))
    found = block.teacher_forced
    assert 0 < found.after_static.value <= found.override_rate.value


def test_a_changed_block_reorders_by_context(planted, make_study):
    block, claim = ranks.analyse(make_study(planted("last block")))
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
    block, _ = ranks.analyse(study)
    found = []
    for row in study.contexts_rows.rows:
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


def test_promoted_tokens_come_with_ranks_and_context(planted, make_study):
    block, _ = ranks.analyse(make_study(planted("last block")))
    first = block.teacher_forced.promoted[0]
    assert first.count >= 1
    assert first.median_rank > 1
    assert first.example
    total = sum(promoted for promoted, _ in block.teacher_forced.classes.values())
    assert total == sum(block.teacher_forced.buckets[1:])


def test_a_frequency_table_decides_the_classes(planted, make_study):
    study = make_study(planted("last block"))
    study.frequencies = Frequencies({token: 1000 + token for token in range(100)}, "a table")
    block, _ = ranks.analyse(study)
    assert block.frequency_source == "a table"
    for shift in (*block.teacher_forced.promoted, *block.teacher_forced.demoted):
        assert (shift.frequency_class == FREQUENCY_CLASSES[0]) == (shift.token_id >= 100)


def test_a_frequency_table_of_another_vocabulary_is_refused(planted, make_study):
    study = make_study(planted("last block"))
    study.frequencies = Frequencies({100_000: 3})
    with pytest.raises(InputRefused, match="below 151, found 100000"):
        ranks.analyse(study)
