"""C1: scores against plain recomputation; short texts; pieces join to the text."""

import pytest
import torch

from hyperinterp.analyses.scoring import compared, window_scores
from hyperinterp.claims import diversity
from hyperinterp.claims.diversity.measurement import pieces
from hyperinterp.claims.running import evaluated
from hyperinterp.claims.spec import Verdict
from hyperinterp.generation import Generated
from hyperinterp.text import builtin_passages


def test_a_model_beside_itself_gains_nothing(planted, make_study):
    block, claim = evaluated(diversity.CLAIM, make_study(planted("itself")))
    assert claim.verdict is Verdict.NOT_SUPPORTED
    for name, pair in block.scores.items():
        assert pair.delta.value == 0, name


def test_scores_equal_a_plain_recomputation(tiny_pair, make_study):
    study = make_study(tiny_pair)
    block, _ = evaluated(diversity.CLAIM, study)
    rows = study.shared.texts.greedy("fitted").rows
    ratio = sum(len(set(row)) / len(row) for row in rows) / len(rows)
    assert block.scores["ttr"].fitted.value == pytest.approx(ratio)
    fours = [list(zip(*(row[i:] for i in range(4)), strict=False)) for row in rows]
    repeated = sum(1 - len(set(grams)) / len(grams) for grams in fours) / len(rows)
    assert block.scores["rep_4"].fitted.value == pytest.approx(repeated)
    assert block.scores["ttr"].delta.n == len(rows)


def test_what_people_wrote_is_the_ceiling(tiny_pair, make_study, words):
    study = make_study(tiny_pair, new_tokens=18, window=18)  # 24 tokens, of which 6 are given
    block, _ = evaluated(diversity.CLAIM, study)
    rows = [row[6:] for row in study.heldout.rows.rows]
    ratio = sum(len(set(row)) / len(row) for row in rows) / len(rows)
    assert block.human.value == pytest.approx(ratio)
    star = block.plot("scores").data[-1]
    assert (star.name, star.x[0]) == ("human", block.human.value)
    short = make_study(tiny_pair, passages=words(4, 0, 12, 14))
    assert "as long as the texts" in evaluated(diversity.CLAIM, short)[0].human.reason


def test_a_text_that_only_ends_earlier_gains_nothing():
    whole = Generated(tuple((*range(20), *range(20)) for _ in range(6)), (False,) * 6)
    short = Generated(tuple(row[: 18 + n] for n, row in enumerate(whole.rows)), (True,) * 6)
    alone = window_scores(whole, 40).ttr, window_scores(short, 40).ttr
    assert float((alone[1] - alone[0]).min()) > 0.3
    base, fitted = compared(40, whole, short)
    assert torch.equal(base.ttr, fitted.ttr)
    assert torch.equal(base.rep_4, fitted.rep_4)


def test_all_models_of_a_study_end_at_the_same_tokens(planted, make_study):
    base, fitted = planted("itself")
    fitted.hf.generation_config.eos_token_id = [2, 5, 7, 11]
    study = make_study((base, fitted))
    block, claim = evaluated(diversity.CLAIM, study)
    assert set(study.shared.texts.stops) >= {2, 5, 7, 11}
    assert any("end tokens" in warning for warning in study.run.log.warnings)
    assert study.shared.texts.greedy("base").rows == study.shared.texts.greedy("fitted").rows
    assert block.scores["ttr"].delta.value == 0
    assert claim.verdict is not Verdict.SUPPORTED


def test_every_prompt_is_shown(tiny_pair, make_study):
    study = make_study(tiny_pair)
    block, _ = evaluated(diversity.CLAIM, study)
    assert [item.prompt_id for item in block.prompts] == [item.id for item in study.passages]
    for item in block.prompts:
        assert "".join(item.fitted.pieces) == item.fitted.text


@pytest.mark.real
def test_pieces_join_to_the_text(smollm2):
    tokenizer = smollm2.tokenizer
    texts = [*builtin_passages("heldout").texts[:6], "日本語 и emoji 👩‍👩‍👧 naïve \n\n  tabs\t."]
    for text in texts:
        ids = tokenizer(text)["input_ids"]
        assert "".join(pieces(tokenizer, ids)) == tokenizer.decode(ids)
