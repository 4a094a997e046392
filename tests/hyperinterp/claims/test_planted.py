"""The verdicts can say yes: a loop that the last block alone breaks, in two families."""

from itertools import pairwise

import pytest

from hyperinterp.claims import registry
from hyperinterp.claims.running import evaluated
from hyperinterp.claims.spec import Verdict

from .conftest import word_tokenizer
from .planted import planted_twin, settle
from .tiny import tiny

CLAIMS = ("C1", "C3", "C4", "C6")


@pytest.mark.parametrize("family", ["llama", "gpt_neox"])
def test_a_last_block_that_breaks_the_loop_is_found(make_study, family):
    verdicts = []
    for seed in range(3):
        base = tiny(family, word_tokenizer(), seed)
        settle(base)
        study = make_study((base, planted_twin(base, "loop broken")), seed=seed)
        for spec in registry.chosen(CLAIMS):
            block, claim = evaluated(spec, study)
            verdicts.append(claim.verdict)
        assert block.largest_block == base.n_layers - 1
        steps = [pair for row in study.shared.texts.greedy("base").rows for pair in pairwise(row)]
        assert sum(a == b for a, b in steps) > len(steps) / 2
    assert Verdict.NOT_SUPPORTED not in verdicts
    assert verdicts.count(Verdict.SUPPORTED) >= len(verdicts) - 2
