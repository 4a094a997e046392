import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sacrebleu import sentence_bleu

from probes.diversity import (
    CopiedSpan,
    NgramIndex,
    copied_share,
    copied_spans,
    distinct_n,
    diversity_scores,
    generated_window,
    longest_copied_span,
    rep_n,
    repeated_spans,
    self_bleu,
    type_token_ratio,
)

small_ids = st.lists(st.integers(0, 3), max_size=40)
corpora = st.lists(st.lists(st.integers(0, 3), max_size=25), min_size=1, max_size=5).filter(any)


def grams(ids, n):
    return [tuple(ids[i : i + n]) for i in range(len(ids) - n + 1)]


@pytest.mark.parametrize(
    ("eos", "pad", "window", "expected"),
    [
        (None, None, 3, [2, 0, 0]),
        (2, None, 96, [5, 6, 7]),
        (2, None, 2, [6, 7]),
        ({6, 2}, None, 96, [5]),
        (None, 0, 96, [5, 6, 7, 2]),
        (2, 0, None, [5, 6, 7]),
        (5, None, 96, []),
    ],
)
def test_window(eos, pad, window, expected):
    assert generated_window([5, 6, 7, 2, 0, 0], window, eos=eos, pad=pad) == expected
    assert generated_window(torch.tensor([5, 6, 7, 2, 0, 0]), window, eos, pad) == expected


@given(st.lists(st.integers(3, 9), max_size=120), st.integers(0, 50), st.integers(1, 100))
def test_padding_is_never_counted(ids, padding, window):
    padded = [*ids, 2, *[0] * padding]
    assert generated_window(padded, window, eos=2) == ids[-window:]
    assert generated_window([*ids, *[0] * padding], window, pad=0) == ids[-window:]


def test_window_refusals():
    with pytest.raises(ValueError, match="window"):
        generated_window([1], window=0)
    for bad in ([[1, 2]], [-1], [0.5], torch.zeros(2, 2).long(), np.array([1.5])):
        with pytest.raises(ValueError, match="ids: expected"):
            generated_window(np.asarray(bad) if isinstance(bad, list) else bad)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=60), st.integers(1, 6))
def test_scores_by_definition(ids, n):
    if len(ids) < n:
        with pytest.raises(ValueError, match="ids: expected"):
            rep_n(ids, n)
        return
    expected = len(set(grams(ids, n))) / len(grams(ids, n))
    assert distinct_n(ids, n) == pytest.approx(expected)
    assert rep_n(np.array(ids), n) == pytest.approx(1 - expected)
    assert type_token_ratio(torch.tensor(ids)) == len(set(ids)) / len(ids)
    renamed = [17 - i for i in ids]
    assert distinct_n(renamed, n) == distinct_n(ids, n)


def test_limits_of_the_scores():
    assert rep_n(list(range(96)), 4) == 0.0
    assert rep_n([7] * 96, 4) == pytest.approx(1 - 1 / 93)
    with pytest.raises(ValueError, match="ids: expected"):
        type_token_ratio([])


def test_batch_scores_and_their_mask():
    sequences = [[1, 2, 3, 1, 2], np.array([4, 4, 4, 4]), torch.tensor([1, 2, 3]), []]
    found = diversity_scores(sequences)
    assert found.lengths.tolist() == [5, 4, 3, 0]
    assert found.defined.tolist() == [True, True, False, False]
    for i in (0, 1):
        assert float(found.ttr[i]) == float(found.distinct_1[i]) == type_token_ratio(sequences[i])
        for n in (2, 3, 4):
            assert float(getattr(found, f"distinct_{n}")[i]) == distinct_n(sequences[i], n)
            assert float(getattr(found, f"rep_{n}")[i]) == rep_n(sequences[i], n)
    assert found.rep_4[2:].tolist() == found.ttr[2:].tolist() == [0.0, 0.0]
    assert found.mean("ttr") == pytest.approx((0.6 + 0.25) / 2)
    assert diversity_scores(sequences, min_length=5).defined.tolist() == [True, False, False, False]
    with pytest.raises(ValueError, match="expected a defined sequence"):
        diversity_scores([[1]]).mean("ttr")
    with pytest.raises(ValueError, match="min_length"):
        diversity_scores([[1]], min_length=2)
    with pytest.raises(ValueError, match="sequences"):
        diversity_scores([])


@settings(max_examples=60, deadline=None)
@given(small_ids, st.integers(1, 6))
def test_repeated_spans_by_definition(ids, length):
    marked = set()
    for i, gram in enumerate(grams(ids, length)):
        if gram in grams(ids, length)[:i]:
            marked |= set(range(i, i + length))
    spans = repeated_spans(ids, length)
    assert {i for start, stop in spans for i in range(start, stop)} == marked
    edges = [edge for span in spans for edge in span]
    assert edges == sorted(set(edges))


def test_a_loop_is_marked_from_its_second_turn():
    assert repeated_spans([1, 2, 3, 4] * 5) == [(4, 20)]
    assert repeated_spans(list(range(50))) == []


def test_self_bleu_is_sacrebleu():
    texts = ["the cat sat on the mat .", "a cat sat on a mat .", "dogs run very fast today !"]
    expected = [sentence_bleu(text, [t for t in texts if t != text]).score / 100 for text in texts]
    found = self_bleu(texts)
    assert found.scores.tolist() == pytest.approx(expected)
    assert found.mean == pytest.approx(np.mean(expected))
    ids = [[1, 2, 3, 4, 5, 6], [1, 2, 3, 9, 8, 7], [11, 12, 13, 14, 15, 16]]
    words = [" ".join(map(str, s)) for s in ids]
    same = [sentence_bleu(w, [v for v in words if v != w], tokenize="none").score for w in words]
    assert self_bleu(ids).scores.tolist() == pytest.approx([s / 100 for s in same])


def test_self_bleu_limits_and_sample():
    assert self_bleu([[1, 2, 3, 4, 5]] * 4).mean == pytest.approx(1.0)
    apart = [list(range(20 * i, 20 * i + 20)) for i in range(10)]
    assert self_bleu(apart).mean < 0.03
    capped = self_bleu(apart, max_sample=4, seed=1)
    assert len(capped.sampled) == 4
    assert torch.equal(capped.sampled, self_bleu(apart, max_sample=4, seed=1).sampled)
    assert capped.sampled.tolist() == sorted(set(capped.sampled.tolist()))
    assert self_bleu([[1, 2], [], [1, 2]]).sampled.tolist() == [0, 2]
    # Effective order: texts shorter than four words are scored on the n-grams that they have.
    assert self_bleu([[1, 2], [1, 2]]).mean == pytest.approx(1.0)
    for bad in ([[1, 2]], ["a", [1]], ["", "a"]):
        with pytest.raises(ValueError, match="texts_or_ids: expected 2"):
            self_bleu(bad)
    with pytest.raises(ValueError, match="max_sample"):
        self_bleu(apart, max_sample=1)


def brute_longest(ids, corpus):
    """The oracle: every run of ids, longest and first first, looked for in every source."""
    for length in range(len(ids), 0, -1):
        for start in range(len(ids) - length + 1):
            for source, text in enumerate(corpus):
                for at in range(len(text) - length + 1):
                    if text[at : at + length] == ids[start : start + length]:
                        return CopiedSpan(length, start, source, at)
    return CopiedSpan(0, 0, None, None)


@settings(max_examples=150, deadline=None)
@given(small_ids, corpora)
def test_longest_copied_span_by_brute_force(ids, corpus):
    assert longest_copied_span(ids, corpus) == brute_longest(ids, corpus)


@settings(max_examples=100, deadline=None)
@given(small_ids, corpora, st.integers(1, 7))
def test_ngram_index_is_a_set_of_ngrams(ids, corpus, n):
    index = NgramIndex(corpus, n)
    known = {gram for text in corpus for gram in grams(text, n)}
    expected = [gram in known for gram in grams(ids, n)]
    assert index.contains(ids).tolist() == expected
    marked = {i + j for i, hit in enumerate(expected) if hit for j in range(n)}
    spans = copied_spans(ids, index)
    assert {i for start, stop in spans for i in range(start, stop)} == marked
    if expected:
        assert copied_share(ids, index) == pytest.approx(np.mean(expected))
    else:
        with pytest.raises(ValueError, match="ids: expected"):
            copied_share(ids, index)


def test_a_quotation_is_found_in_a_large_corpus():
    rng = np.random.default_rng(0)
    corpus = list(rng.integers(0, 49152, (800, 250)))
    text = rng.integers(0, 49152, 96)
    text[30:71] = corpus[517][100:141]
    index = NgramIndex(corpus)
    assert longest_copied_span(text, index) == CopiedSpan(41, 30, 517, 100)
    assert copied_spans(text, index) == [(30, 71)]
    assert copied_share(text, index) == pytest.approx(34 / 89)
    assert index.tokens == 200_000


def test_a_degenerate_corpus_is_no_trap():
    index = NgramIndex([[7] * 20000, [7] * 100], n=8)
    found = longest_copied_span([7] * 96, index)
    assert found == CopiedSpan(96, 0, 0, 0)
    assert copied_share([7] * 50 + [1] * 50, index) == pytest.approx(43 / 93)


def test_a_match_never_crosses_from_one_source_into_the_next():
    assert longest_copied_span([1, 2, 3, 4], [[1, 2], [3, 4]]) == CopiedSpan(2, 0, 0, 0)


def test_index_refusals():
    with pytest.raises(ValueError, match="n: expected"):
        NgramIndex([[1]], n=0)
    with pytest.raises(ValueError, match="at least one token"):
        NgramIndex([[], []])
    with pytest.raises(ValueError, match=r"sequences\[1\]: expected token ids"):
        NgramIndex([[1], [-2]])
    assert longest_copied_span([], [[1]]) == CopiedSpan(0, 0, None, None)
