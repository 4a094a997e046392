import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from probes import slices
from probes.ranks import (
    FREQUENCY_CLASSES,
    RANK_BUCKETS,
    bucket_counts,
    bucket_label,
    bucket_of,
    demoted_tokens,
    frequency_class,
    jaccard_at_k,
    mean_log_rank,
    near_ties,
    overrides,
    promoted_tokens,
    rank_biased_overlap,
    rank_flow,
    spearman,
    tied,
    token_ranks,
    top_margin,
    top_tokens,
)

seeds = st.integers(0, 2**31 - 1)
levels = st.sampled_from([2, 7, 50, 10**6])


def tied_logits(seed, levels, rows=6, vocabulary=60):
    """Logits on a few levels, so that most tokens tie (few levels) or almost none (many)."""
    draw = np.random.default_rng(seed).integers(0, levels, (rows, vocabulary))
    return torch.from_numpy(draw).float() / 8 - 3


def stable_order(x):
    """The oracle: numpy's stable descending argsort."""
    return np.argsort(-np.asarray(x, dtype=np.float64), axis=-1, kind="stable")


def stable_ranks(x):
    return np.argsort(stable_order(x), axis=-1, kind="stable") + 1


@settings(max_examples=40, deadline=None)
@given(seeds, levels)
def test_ranks_equal_a_stable_argsort(seed, levels):
    x = tied_logits(seed, levels)
    ranks = stable_ranks(x)
    for token in range(0, 60, 7):
        found = token_ranks(x, torch.full((6,), token))
        assert found.tolist() == ranks[:, token].tolist()
        assert tied(x, [token] * 6).tolist() == ((x == x[:, [token]]).sum(-1) - 1).tolist()


@settings(max_examples=40, deadline=None)
@given(seeds, levels, st.integers(1, 60))
def test_top_tokens_equal_a_stable_argsort(seed, levels, k):
    x = tied_logits(seed, levels)
    assert top_tokens(x, k).tolist() == stable_order(x)[:, :k].tolist()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_ranks_in_low_precision_and_in_chunks(dtype, monkeypatch):
    x = torch.randn(3, 4, 2000, generator=torch.Generator().manual_seed(0)).to(dtype)
    token = torch.randint(0, 2000, (3, 4), generator=torch.Generator().manual_seed(1))
    expected = np.take_along_axis(stable_ranks(x.double()), token.numpy()[..., None], -1)[..., 0]
    assert token_ranks(x, token).tolist() == expected.tolist()
    monkeypatch.setattr(slices, "_CPU_BYTES", 8 * 4096)
    assert token_ranks(x, token.numpy()).tolist() == expected.tolist()
    assert top_tokens(x, 1500).tolist() == stable_order(x.double())[..., :1500].tolist()


def test_one_context_without_an_axis():
    assert int(token_ranks(torch.tensor([0.1, 0.9, 0.5]), 2)) == 2


@pytest.mark.parametrize(
    ("tokens", "message"),
    [([0], "tokens: expected shape"), ([0, 3], "in \\[0, 3\\), found 3"), ([-1, 0], "found -1")],
)
def test_bad_tokens_are_refused(tokens, message):
    with pytest.raises(ValueError, match=message):
        token_ranks(torch.zeros(2, 3), tokens)


def test_nan_is_refused_everywhere():
    bad, good = torch.tensor([[1.0, math.nan, 2.0]]), torch.zeros(1, 3)
    for call in (
        lambda: token_ranks(bad, [0]),
        lambda: tied(bad, [0]),
        lambda: top_tokens(bad, 2),
        lambda: top_margin(bad),
        lambda: rank_flow(good, bad),
        lambda: overrides(bad, good),
        lambda: spearman(good, bad),
        lambda: rank_biased_overlap(bad, good),
        lambda: jaccard_at_k(good, bad, 1),
    ):
        with pytest.raises(ValueError, match="expected finite"):
            call()
    with pytest.raises(ValueError, match="fitted_logits: expected the shape of base_logits"):
        rank_flow(good, torch.zeros(2, 3))


def test_margins_and_near_ties():
    x = torch.tensor([[1.0, 5.0, 4.5], [2.0, 2.0, 0.0]])
    assert top_margin(x).tolist() == [0.5, 0.0]
    assert near_ties(x, 0.1).tolist() == [False, True]
    assert near_ties(x, 0.5).tolist() == [True, True]
    with pytest.raises(ValueError, match="at least 2 tokens"):
        top_margin(torch.zeros(2, 1))
    with pytest.raises(ValueError, match="tolerance"):
        near_ties(x, -1.0)


def test_buckets_partition_the_ranks():
    ranks = torch.arange(1, 3001)
    assert bucket_counts(ranks).tolist() == [1, 9, 90, 900, 2000]
    for index, (first, last) in enumerate(RANK_BUCKETS):
        inside = (ranks >= first) & (ranks <= (last or 3000))
        assert bool((bucket_of(ranks)[inside] == index).all())
    assert [bucket_label(i) for i in range(5)][-1] == ">1000"
    with pytest.raises(ValueError, match="ranks of 1 or more, found 0"):
        bucket_of([0])
    with pytest.raises(ValueError, match="found none"):
        bucket_counts([])


@settings(max_examples=15, deadline=None)
@given(seeds, st.sampled_from([3, 40, 10**6]), st.sampled_from([5, 100, 1300]))
def test_rank_flow_equals_full_sorting(seed, levels, vocabulary):
    base = tied_logits(seed, levels, rows=4, vocabulary=vocabulary)
    fitted = tied_logits(seed + 1, levels, rows=4, vocabulary=vocabulary)
    expected = np.zeros((5, 5), dtype=int)
    before = bucket_of(torch.from_numpy(stable_ranks(base))).numpy()
    after = bucket_of(torch.from_numpy(stable_ranks(fitted))).numpy()
    np.add.at(expected, (before, after), 1)
    assert rank_flow(base, fitted).tolist() == expected.tolist()
    same = rank_flow(base, base)
    assert torch.equal(same, torch.diag(same.diagonal()))


@settings(max_examples=25, deadline=None)
@given(seeds, levels, st.sampled_from([torch.float32, torch.float64, torch.bfloat16]))
def test_spearman_equals_scipy(seed, levels, dtype):
    a = tied_logits(seed, levels).to(dtype)
    b = tied_logits(seed + 1, levels).to(dtype)
    a[0, 0], a[0, 1] = 0.0, -0.0  # equal, though their bits differ
    for row, found in enumerate(spearman(a, b)):
        expected = spearmanr(a[row].double(), b[row].double()).statistic
        assert float(found) == pytest.approx(expected, abs=1e-12)


def test_spearman_sees_only_the_order():
    a = torch.randn(3, 50, generator=torch.Generator().manual_seed(0))
    assert spearman(a, a.exp()).tolist() == pytest.approx([1.0] * 3)
    assert spearman(a, -a).tolist() == pytest.approx([-1.0] * 3)
    with pytest.raises(ValueError, match="found a constant"):
        spearman(a, torch.zeros(3, 50))


def brute_rbo(a, b, p, depth):
    order_a, order_b = stable_order(a).tolist(), stable_order(b).tolist()
    k = min(depth, len(order_a))
    overlap = [len(set(order_a[:d]) & set(order_b[:d])) for d in range(1, k + 1)]
    tail = sum(x / d * p**d for d, x in enumerate(overlap, 1))
    return overlap[-1] / k * p**k + (1 - p) / p * tail


@settings(max_examples=25, deadline=None)
@given(seeds, levels, st.floats(0.1, 0.99), st.integers(1, 80))
def test_rbo_equals_its_definition(seed, levels, p, depth):
    a, b = tied_logits(seed, levels, rows=3), tied_logits(seed + 1, levels, rows=3)
    expected = [brute_rbo(x, y, p, depth) for x, y in zip(a, b, strict=True)]
    assert rank_biased_overlap(a, b, p, depth).tolist() == pytest.approx(expected, abs=1e-12)


def test_rbo_limits():
    a = torch.randn(4, 100, generator=torch.Generator().manual_seed(0))
    assert rank_biased_overlap(a, a).tolist() == pytest.approx([1.0] * 4, abs=1e-12)
    assert rank_biased_overlap(a, -a, depth=50).tolist() == [0.0] * 4
    up, down = torch.arange(100.0), torch.arange(100.0).flip(0)
    swapped_top, swapped_tail = up.clone(), up.clone()
    swapped_top[[98, 99]] = up[[99, 98]]
    swapped_tail[[0, 1]] = up[[1, 0]]
    top, tail = rank_biased_overlap(up, swapped_top), rank_biased_overlap(up, swapped_tail)
    assert float(rank_biased_overlap(up, down)) < float(top) < float(tail) <= 1
    with pytest.raises(ValueError, match="p: expected"):
        rank_biased_overlap(a, a, p=1.0)
    with pytest.raises(ValueError, match="depth: expected"):
        rank_biased_overlap(a, a, depth=0)


@settings(max_examples=25, deadline=None)
@given(seeds, levels, st.integers(1, 60))
def test_jaccard_equals_sets(seed, levels, k):
    a, b = tied_logits(seed, levels), tied_logits(seed + 1, levels)
    pairs = zip(stable_order(a)[:, :k], stable_order(b)[:, :k], strict=True)
    expected = [len(set(x) & set(y)) / len(set(x) | set(y)) for x, y in pairs]
    assert jaccard_at_k(a, b, k).tolist() == pytest.approx(expected)
    with pytest.raises(ValueError, match="k: expected"):
        jaccard_at_k(a, b, 61)


@settings(max_examples=25, deadline=None)
@given(seeds, levels)
def test_overrides_by_definition(seed, levels):
    base, fitted = tied_logits(seed, levels), tied_logits(seed + 1, levels)
    found = overrides(base, fitted)
    rows = np.arange(6)
    before, after = stable_order(base)[:, 0], stable_order(fitted)[:, 0]
    assert found.base_token.tolist() == before.tolist()
    assert found.fitted_token.tolist() == after.tolist()
    assert found.base_rank.tolist() == stable_ranks(base)[rows, after].tolist()
    assert found.fitted_rank.tolist() == stable_ranks(fitted)[rows, before].tolist()
    assert found.overridden.tolist() == (before != after).tolist()
    assert found.rate == pytest.approx((before != after).mean())
    assert torch.equal(found.base_margin, top_margin(base))
    assert bool((found.base_gap >= 0).all())
    assert torch.equal(found.base_rank == 1, ~found.overridden)


def test_a_model_with_itself_overrides_nothing():
    x = tied_logits(0, 5)
    found = overrides(x, x)
    assert found.rate == 0.0
    table = promoted_tokens(found)
    assert (table.total, len(table.tokens)) == (0, 0)


def test_a_pure_temperature_overrides_nothing():
    x = torch.randn(50, 300, generator=torch.Generator().manual_seed(0))
    assert overrides(x, x / 0.59).rate == 0.0
    assert int(rank_flow(x, x / 0.59).fill_diagonal_(0).sum()) == 0


def test_promoted_and_demoted_tables():
    base, fitted = torch.zeros(4, 6), torch.zeros(4, 6)
    base[:, 0] = 3.0
    base[:, 1:] = -torch.arange(5.0)
    fitted[0, 5] = fitted[1, 5] = fitted[2, 2] = 9.0
    fitted[3, 0] = 9.0
    found = overrides(base, fitted)
    up, down = promoted_tokens(found), demoted_tokens(found, top=1)
    assert up.tokens.tolist() == [5, 2]
    assert up.counts.tolist() == [2, 1]
    assert up.mean_log_ranks.exp().tolist() == pytest.approx([6.0, 3.0])
    assert up.total == 3
    assert (down.tokens.tolist(), down.counts.tolist()) == ([0], [3])
    with pytest.raises(ValueError, match="top"):
        promoted_tokens(found, top=0)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 50), min_size=1, max_size=60).filter(any))
def test_frequency_classes_by_definition(counts):
    found = frequency_class(counts).tolist()
    total = sum(counts)
    for count, label in zip(counts, found, strict=True):
        ahead = sum(c for c in counts if c > count) / total
        name = "top" if ahead < 0.5 else "frequent" if ahead < 0.8 else "mid"
        name = "rare" if ahead >= 0.95 else name
        assert FREQUENCY_CLASSES[label] == (name if count else "unseen")
    by_count = sorted(zip(counts, found, strict=True))
    assert [label for _, label in by_count] == sorted(label for _, label in by_count)


def test_frequency_edges():
    assert frequency_class([8, 4, 2, 0], edges=[0.7]).tolist() == [2, 2, 1, 0]
    for bad in ([], [0, 0], [-1, 2]):
        with pytest.raises(ValueError, match="counts: expected"):
            frequency_class(bad)
    with pytest.raises(ValueError, match="edges: expected"):
        frequency_class([1], edges=[0.9, 0.5])


def test_mean_log_rank():
    assert float(mean_log_rank([1, 1, 1])) == 0.0
    assert float(mean_log_rank(np.array([10, 1000]))) == pytest.approx(math.log(100))
