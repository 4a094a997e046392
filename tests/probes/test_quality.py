import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from probes.diversity import diversity_product, type_token_ratio, type_token_ratio_by_position
from probes.quality import (
    calibration,
    divergence_frontier,
    fresh_surprisal,
    fresh_tokens,
    frontier_area,
    mauve,
    reliability,
    shocking_share,
    shocking_threshold,
    surprisal,
)

seeds = st.integers(0, 2**31 - 1)


def generator(seed):
    return torch.Generator().manual_seed(seed)


@settings(max_examples=20, deadline=None)
@given(seeds, st.sampled_from([(torch.float32, 3e-6), (torch.float64, 1e-12)]))
def test_surprisal_is_the_cross_entropy_of_torch(seed, exactly):
    dtype, error = exactly
    logits = (5 * torch.randn(3, 4, 11, generator=generator(seed))).to(dtype)
    tokens = torch.randint(11, (3, 4), generator=generator(seed + 1))
    wanted = torch.nn.functional.cross_entropy(
        logits.double().reshape(-1, 11), tokens.flatten(), reduction="none"
    )
    found = surprisal(logits, tokens)
    assert found.dtype == torch.float64
    torch.testing.assert_close(found.flatten(), wanted, atol=error, rtol=error)


def test_surprisal_over_a_whole_vocabulary_is_that_of_float64():
    logits = 4 * torch.randn(64, 150_000, generator=generator(0))
    tokens = logits.topk(2).indices[:, 1]
    wanted = surprisal(logits.double(), tokens)
    assert float((surprisal(logits, tokens) - wanted).abs().max()) < 3e-6


def test_surprisal_of_far_logits_is_finite():
    found = surprisal(torch.tensor([[0.0, 3e4]]), torch.tensor([0]))
    assert found.item() == pytest.approx(3e4)


def test_a_loop_is_fresh_once():
    loop = [1, 2, 3, 4, 5]
    assert fresh_tokens([], loop * 3).tolist() == [True] * 5 + [False] * 10
    assert fresh_tokens(loop, loop).tolist() == [False] * 5
    assert fresh_tokens([9, 1, 2, 3], [4, 5, 1, 2, 3, 4]).tolist() == [True, True] + [False] * 4
    assert fresh_tokens([1, 2], [3]).tolist() == [True]
    assert fresh_tokens([], []).tolist() == []


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 2), max_size=30), st.integers(0, 10))
def test_fresh_tokens_by_counting(ids, cut):
    prompt, text = ids[:cut], ids[cut:]
    grams = [tuple(ids[i : i + 4]) for i in range(len(ids) - 3)]
    old = [i for i, gram in enumerate(grams) if gram in grams[:i]]
    stale = {position for start in old for position in range(start, start + 4)}
    wanted = [cut + i not in stale for i in range(len(text))]
    assert fresh_tokens(prompt, text).tolist() == wanted


def test_fresh_surprisal_and_shocks():
    found = fresh_surprisal(torch.tensor([1.0, 5.0]), torch.tensor([False, False]))
    assert found.mean is None
    assert found.tokens == 2
    human = torch.rand(10_000, generator=generator(0))
    threshold = shocking_threshold(human)
    assert threshold == pytest.approx(float(np.quantile(human.double().numpy(), 0.99)))
    assert shocking_share(human, threshold) == pytest.approx(0.01, abs=2e-4)


def test_calibrated_logits_have_no_calibration_error():
    logits = 3 * torch.randn(60_000, 6, generator=generator(0))
    tokens = torch.multinomial(logits.softmax(-1), 1, generator=generator(1)).flatten()
    found = calibration(logits, tokens)
    assert found.error < 0.01
    assert int(found.counts.sum()) == 60_000
    sharp = calibration(4 * logits, tokens)
    assert sharp.error > 0.2  # four times too sure


def test_calibration_error_by_hand():
    logits = torch.tensor([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4]]).log()
    found = calibration(logits, torch.tensor([0, 1, 0]), bins=2)
    assert found.counts.tolist() == [0, 3]
    assert found.error == pytest.approx(abs(2 / 3 - 0.8))


def test_reliability_is_calibration_of_what_is_left_of_logits():
    logits = 3 * torch.randn(500, 6, generator=generator(2))
    tokens = torch.randint(0, 6, (500,), generator=generator(3))
    sure, top = logits.softmax(-1).max(-1)
    found, whole = reliability(sure, (top == tokens).float()), calibration(logits, tokens)
    assert found.error == pytest.approx(whole.error)
    assert found.counts.tolist() == whole.counts.tolist()


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_frontier_of_histograms(seed):
    p = torch.randint(1, 9, (7,), generator=generator(seed)).double()
    q = torch.randint(0, 9, (7,), generator=generator(seed + 1)).double() + torch.eye(7)[0]
    area = frontier_area(p, q)
    assert 0 < area <= 1
    assert frontier_area(q, p) == pytest.approx(area)
    assert frontier_area(5 * p, p) == pytest.approx(1.0)
    curve = divergence_frontier(p, q)
    assert bool((curve[1:, 0] >= curve[:-1, 0] - 1e-12).all())
    # the authors' way: the mean of the areas over the two axes
    x, y = curve.T.numpy()
    both = np.trapezoid(y, x) + np.trapezoid(x[::-1], y[::-1])
    assert area == pytest.approx(both / 2)


@pytest.mark.parametrize(
    ("p", "q", "area"),
    [
        ((12, 7, 0, 3, 9), (2, 8, 5, 5, 1), 0.3185167925604633),
        ((30, 1, 1), (1, 30, 1), 0.018374263262710338),
        ((5, 5, 5, 6), (5, 6, 5, 5), 0.9996909626531982),
        ((40, 0, 3, 0, 8, 2, 0, 1), (0, 11, 4, 9, 8, 1, 2, 6), 0.029696565809302612),
    ],
)
def test_the_area_is_that_of_mauve_text(p, q, area):
    """Areas by the package mauve-text 0.4.0, from the same clusters."""
    found = frontier_area(torch.tensor(p).double(), torch.tensor(q).double())
    assert found == pytest.approx(area, rel=1e-12)


def test_mauve_tells_sets_apart():
    near = torch.randn(120, 5, generator=generator(0))
    also = torch.randn(120, 5, generator=generator(1))
    far = torch.randn(120, 5, generator=generator(2)) + 4.0
    same, other = mauve(near, also), mauve(near, far)
    assert same.value > 0.6
    assert other.value < 0.05
    assert mauve(near, near).value == pytest.approx(1.0)
    assert mauve(near, also).value == same.value  # seeded
    assert same.p.sum() == pytest.approx(1.0)


def test_products_and_positions():
    ids = [1, 2, 3, 1, 2, 3, 1, 2]
    wanted = math.prod(
        len(set(zip(*[ids[k:] for k in range(n)], strict=False))) / (9 - n) for n in (2, 3, 4)
    )
    assert diversity_product(ids) == pytest.approx(wanted)
    by_position = type_token_ratio_by_position(ids)
    assert by_position.tolist() == [type_token_ratio(ids[: k + 1]) for k in range(8)]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: surprisal(torch.zeros(2, 3), torch.tensor([0, 3])), r"in \[0, 3\)"),
        (lambda: surprisal(torch.full((1, 3), math.nan), torch.tensor([0])), "finite"),
        (lambda: fresh_surprisal(torch.ones(2), torch.ones(3, dtype=torch.bool)), "shape"),
        (lambda: shocking_threshold(torch.ones(3), share=0.0), r"in \(0, 1\)"),
        (lambda: calibration(torch.zeros(2, 3), torch.tensor([0, 1]), bins=0), "1 or more"),
        (lambda: reliability(torch.tensor([0.5]), torch.tensor([1, 0])), "shape"),
        (lambda: reliability(torch.tensor([1.5]), torch.tensor([1])), "0, 1"),
        (lambda: frontier_area(torch.ones(3), torch.ones(4)), "3 clusters"),
        (lambda: frontier_area(torch.zeros(3), torch.ones(3)), "histogram"),
        (lambda: divergence_frontier(torch.ones(3), torch.ones(3), scale=0.0), "more than 0"),
        (lambda: mauve(torch.ones(3, 2), torch.ones(3, 4)), "width 2"),
        (lambda: mauve(torch.ones(3, 2), torch.ones(3, 2), clusters=9), "number of texts"),
        (lambda: mauve(torch.zeros(3, 2), torch.ones(3, 2)), "zero row"),
        (lambda: mauve(torch.ones(3, 2), torch.ones(3, 2), explained=0.0), r"\(0, 1\]"),
        (lambda: diversity_product([1, 2, 3]), "4 ids or more"),
        (lambda: type_token_ratio_by_position([]), "at least one"),
    ],
)
def test_refusals(call, words):
    with pytest.raises(ValueError, match=words):
        call()
