"""Generation: plain Hugging Face is the oracle; draws depend on prompt and seed alone."""

import pytest
import torch
from scipy.stats import chi2

from hyperinterp.generation import GREEDY, Decoding, generate, stop_tokens
from hyperinterp.text import TokenRows


def rows_of(*lengths, vocab=97, seed=0):
    generator = torch.Generator().manual_seed(seed)
    rows = tuple(
        tuple(torch.randint(3, vocab, (length,), generator=generator).tolist())
        for length in lengths
    )
    return TokenRows(rows, tuple(range(len(rows))), max(lengths), 0)


def test_greedy_equals_hugging_face(tiny, family):
    model = tiny(family)
    prompts = rows_of(5, 5, 7)
    written = generate(model, prompts, new_tokens=12)[GREEDY.name]
    for row, text, ended in zip(prompts.rows, written.rows, written.ended, strict=True):
        expected = model.hf.generate(
            torch.tensor([row]),
            attention_mask=torch.ones(1, len(row), dtype=torch.long),
            max_new_tokens=12,
            do_sample=False,
            pad_token_id=0,
        )[0, len(row) :].tolist()
        stops = stop_tokens(model)
        cut = next((i for i, token in enumerate(expected) if token in stops), None)
        assert list(text) == expected[:cut]
        assert ended == (cut is not None)


def test_the_checkpoints_own_decoding_defaults_are_not_used(tiny):
    model = tiny()
    prompts = rows_of(6, 6)
    plain = generate(model, prompts, new_tokens=16)[GREEDY.name]
    model.hf.generation_config.repetition_penalty = 5.0
    model.hf.generation_config.do_sample = True
    assert generate(model, prompts, new_tokens=16)[GREEDY.name] == plain
    assert model.hf.generation_config.repetition_penalty == 5.0


@pytest.mark.parametrize("batch_size", [1, 2, 7, 32])
def test_draws_do_not_depend_on_the_batch(tiny, batch_size):
    model, prompts = tiny(), rows_of(5, 6, 5, 8, 6)
    arms = [Decoding("a", 1.3, seed=1), Decoding("b", 1.3, seed=2), GREEDY]
    together = generate(model, prompts, arms, new_tokens=8, batch_size=15)
    assert generate(model, prompts, arms, new_tokens=8, batch_size=batch_size) == together
    alone = generate(model, prompts, arms[:1], new_tokens=8)
    assert alone["a"] == together["a"]
    assert together["a"] != together["b"]


def test_draws_follow_the_distribution(tiny):
    model = tiny()
    row = rows_of(4).rows[0]
    count = 4000
    prompts = TokenRows((row,) * count, tuple(range(count)), 4, 0)
    arm = Decoding("draw", temperature=1.5, seed=7)
    written = generate(model, prompts, [arm], new_tokens=1, batch_size=500)["draw"]
    stops = stop_tokens(model)
    drawn = torch.tensor([text[0] if text else stops[0] for text in written.rows])
    expected = torch.softmax(model.logits(torch.tensor([row]))[0, -1] / 1.5, -1)
    counts = torch.bincount(drawn, minlength=model.vocab_size).double()
    statistic = float(((counts - count * expected) ** 2 / (count * expected)).sum())
    assert chi2.sf(statistic, model.vocab_size - 1) > 1e-3


def test_a_bias_changes_what_is_written(tiny):
    model, prompts = tiny(), rows_of(5, 5)
    bias = torch.zeros(model.vocab_size)
    bias[42] = 1000.0
    arms = [Decoding("plain"), Decoding("zero", bias=bias, alpha=0.0), Decoding("on", bias=bias)]
    written = generate(model, prompts, arms, new_tokens=6)
    assert written["plain"] == written["zero"]
    assert set(written["on"].rows) == {(42,) * 6}


def test_matching_the_entropy_of_itself_is_temperature_one(tiny):
    model, prompts = tiny(), rows_of(5, 7)
    arm = Decoding("draw", seed=3)
    plain = generate(model, prompts, [arm], new_tokens=10)["draw"]
    matched = generate(model, prompts, [arm], new_tokens=10, match_entropy_of=model)["draw"]
    assert matched == plain


def test_arms_need_distinct_names(tiny):
    with pytest.raises(ValueError, match="distinct"):
        generate(tiny(), rows_of(4), [GREEDY, GREEDY])
