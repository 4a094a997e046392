import math

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.special import softmax
from scipy.stats import entropy as scipy_entropy

from probes import slices
from probes.divergence import (
    entropy,
    js_divergence,
    kl_divergence,
    matched_temperature,
    mean_entropy,
)

seeds = st.integers(0, 2**31 - 1)


def logits_of(seed, rows=5, vocabulary=37, scale=3.0):
    return torch.randn(rows, vocabulary, generator=torch.Generator().manual_seed(seed)) * scale


@settings(max_examples=25, deadline=None)
@given(seeds, st.floats(0.1, 30.0))
def test_measures_equal_scipy(seed, scale):
    p, q = logits_of(seed, scale=scale), logits_of(seed + 1, scale=scale)
    a, b = softmax(p.double().numpy(), -1), softmax(q.double().numpy(), -1)
    assert entropy(p).numpy() == pytest.approx(scipy_entropy(a, axis=-1), abs=1e-12)
    assert kl_divergence(p, q).numpy() == pytest.approx(scipy_entropy(a, b, axis=-1), rel=1e-10)
    assert js_divergence(p, q).numpy() == pytest.approx(jensenshannon(a, b, axis=-1) ** 2, abs=1e-9)


@settings(max_examples=25, deadline=None)
@given(seeds, st.floats(-50, 50))
def test_softmax_invariances(seed, shift):
    p, q = logits_of(seed).double(), logits_of(seed + 1).double()
    order = torch.randperm(p.shape[1], generator=torch.Generator().manual_seed(seed))
    for moved in (p + shift, p[:, order]):
        assert torch.allclose(entropy(moved), entropy(p), atol=1e-12)
    assert torch.allclose(kl_divergence(p + shift, q - shift), kl_divergence(p, q), atol=1e-11)
    assert torch.allclose(js_divergence(p[:, order], q[:, order]), js_divergence(p, q), atol=1e-12)


@settings(max_examples=25, deadline=None)
@given(seeds, st.floats(1e-3, 100.0))
def test_bounds_and_symmetry(seed, scale):
    p, q = logits_of(seed, scale=scale), logits_of(seed + 1, scale=scale)
    assert bool(((entropy(p) >= 0) & (entropy(p) <= math.log(37) + 1e-12)).all())
    assert bool((kl_divergence(p, q) >= 0).all())
    js = js_divergence(p, q)
    assert bool(((js >= 0) & (js <= math.log(2))).all())
    assert torch.allclose(js, js_divergence(q, p), atol=1e-14)


def test_zero_iff_equal():
    p = logits_of(0)
    assert kl_divergence(p, p).tolist() == [0.0] * 5
    assert float(js_divergence(p, p).max()) < 1e-15
    nudged = p.double().clone()
    nudged[:, 0] += 1e-4
    # KL of a small step is half the Fisher information times the step squared.
    prob = softmax(p.double().numpy(), -1)[:, 0]
    expected = 0.5 * prob * (1 - prob) * 1e-8
    assert kl_divergence(p.double(), nudged).numpy() == pytest.approx(expected, rel=1e-3)


def test_extremes():
    assert entropy(torch.zeros(3, 1000)).exp().tolist() == pytest.approx([1000] * 3)
    hot = torch.full((1, 10), -1e4)
    hot[0, 3] = 1e4
    assert entropy(hot).tolist() == [0.0]
    other = hot.roll(1, -1)
    assert float(js_divergence(hot, other)) == pytest.approx(math.log(2), abs=1e-15)
    assert float(kl_divergence(hot, other)) == pytest.approx(2e4)


def test_shapes_dtypes_and_numpy(monkeypatch):
    x = logits_of(1, rows=24)
    expected = entropy(x).reshape(2, 3, 4)
    assert entropy(x[0]).shape == ()
    assert torch.equal(entropy(x.numpy().reshape(2, 3, 4, 37)), expected)
    for dtype in (torch.float16, torch.bfloat16, torch.float64):
        low = x.to(dtype)
        assert torch.equal(entropy(low), entropy(low.double()))
        assert entropy(low).dtype == torch.float64
    frozen = x.numpy().copy()
    frozen.setflags(write=False)
    assert torch.equal(entropy(frozen[::-1]), entropy(x).flip(0))
    assert torch.equal(entropy(x.numpy().astype(">f4")), entropy(x))
    monkeypatch.setattr(slices, "_CPU_BYTES", 8 * 40)
    assert torch.allclose(entropy(x).reshape(2, 3, 4), expected, atol=1e-14)
    kept = x.double()
    before = kept.clone()
    entropy(kept), kl_divergence(kept, kept), matched_temperature(kept, 1.0)
    assert torch.equal(kept, before)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (torch.zeros(0, 4), "at least one entry"),
        (torch.zeros(4, 0), "at least one entry"),
        (torch.tensor(1.0), "expected shape"),
        (torch.zeros(2, 3, dtype=torch.int64), "floating dtype"),
        (np.array(["a"]), "real numeric"),
        (torch.zeros(2, 3).to_sparse(), "dense"),
        (torch.tensor([[1.0, math.nan]]), "logits: expected finite"),
        (torch.tensor([[1.0, -math.inf]]), "logits: expected finite"),
    ],
)
def test_bad_logits_are_refused(bad, message):
    with pytest.raises(ValueError, match=message):
        entropy(bad)
    with pytest.raises(ValueError, match=message):
        mean_entropy(bad)


def test_pairs_are_refused_by_name():
    good = torch.zeros(2, 3)
    with pytest.raises(ValueError, match=r"logits_q: expected the shape .* found \[3, 2\]"):
        kl_divergence(good, good.T)
    with pytest.raises(ValueError, match="logits_q: expected finite"):
        js_divergence(good, good + math.inf)


@settings(max_examples=30, deadline=None)
@given(seeds, st.floats(0.05, 20.0))
@example(823, 0.05)
def test_planted_temperature_is_found(seed, planted):
    x = logits_of(seed).double()
    match = matched_temperature(x, mean_entropy(x, planted))
    assert match.converged
    assert float(match.entropy) == pytest.approx(float(match.target), abs=1e-9)
    assert int(match.clamped) == 0
    # An entropy of 1e-9 nats or less says next to nothing about T in float64.
    if float(match.target) > 1e-9:
        assert float(match.temperature) == pytest.approx(planted, rel=1e-6)


@settings(max_examples=30, deadline=None)
@given(seeds, st.floats(0.1, 10.0), st.floats(0.1, 10.0))
def test_planted_temperatures_per_context(seed, low, high):
    x = logits_of(seed, rows=7).double()
    planted = torch.linspace(low, high, 7, dtype=torch.float64)
    target = entropy(x / planted[:, None])
    match = matched_temperature(x, target, per_context=True)
    assert match.converged
    assert match.iterations <= 20
    # An entropy of 1e-9 nats or less says next to nothing about T in float64.
    told = target > 1e-9
    assert match.temperature[told].numpy() == pytest.approx(planted[told].numpy(), rel=1e-6)
    assert match.entropy.numpy() == pytest.approx(target.numpy(), abs=1e-9)


def test_entropy_never_falls_with_temperature():
    x = logits_of(3)
    grid = torch.logspace(-3, 3, 60)
    means = torch.stack([mean_entropy(x, float(t)) for t in grid])
    assert bool((means.diff() >= 0).all())
    found = [float(matched_temperature(x, float(h)).temperature) for h in means[10:50:5]]
    assert found == sorted(found)


def test_streamed_equals_resident_and_keeps_the_row_order():
    x = logits_of(5, rows=11)
    calls = []

    def chunks():
        calls.append(1)
        return iter(x.split(4))

    assert float(mean_entropy(chunks)) == pytest.approx(float(entropy(x).mean()), abs=1e-12)
    target = entropy(x * 1.7)
    for per_context in (False, True):
        calls.clear()
        whole = matched_temperature(x, target, per_context=per_context)
        parts = matched_temperature(chunks, target, per_context=per_context)
        assert torch.allclose(whole.temperature, parts.temperature, rtol=1e-12)
        assert parts.iterations == len(calls) <= 12
        assert parts.converged
    assert parts.temperature.numpy() == pytest.approx(np.full(11, 1 / 1.7), rel=1e-6)


def test_per_context_shape_and_one_number_for_all():
    x = logits_of(6, rows=6).reshape(2, 3, 37)
    match = matched_temperature(x, 1.25, per_context=True)
    assert match.temperature.shape == match.clamped.shape == (2, 3)
    assert match.entropy.numpy() == pytest.approx(np.full((2, 3), 1.25), abs=1e-9)


def test_unreachable_targets():
    x = logits_of(7, rows=3, vocabulary=9)
    x[1] = 0.0  # every temperature gives log 9
    x[2, :4] = x[2].max() + 1  # four tokens tie at the top: entropy of log 4 or more
    for target in (0.01, math.log(9) + 0.1):
        with pytest.raises(ValueError, match="target_entropy: expected a mean entropy"):
            matched_temperature(x, target)
    match = matched_temperature(x, torch.tensor([1.0, 1.0, 1.0]), per_context=True)
    assert match.clamped.tolist() == [0, -1, -1]
    assert match.temperature[1:].tolist() == pytest.approx([1e-6, 1e-6])
    assert match.converged
    assert "2 unreachable" in match.reason
    above = matched_temperature(x[:1], torch.tensor([math.log(9) + 1e-3]), per_context=True)
    assert above.clamped.tolist() == [1]
    assert float(above.temperature) == pytest.approx(1e6)
    assert not any(torch.isnan(v).any() for v in (match.temperature, match.entropy))


def test_giving_up_is_said():
    x = logits_of(8)
    match = matched_temperature(x, 0.3, max_iterations=1)
    assert not match.converged
    assert "not solved in 1" in match.reason


def test_bad_requests_of_a_match_are_refused():
    x = logits_of(9, rows=4)
    with pytest.raises(ValueError, match="0 nats or more"):
        matched_temperature(x, -0.1)
    with pytest.raises(ValueError, match=r"target_entropy: expected shape \[4\]"):
        matched_temperature(x, torch.ones(3), per_context=True)
    with pytest.raises(ValueError, match="target_entropy: expected 4, found 3"):
        matched_temperature(lambda: iter([x]), torch.ones(3))
    with pytest.raises(ValueError, match="target_entropy: expected finite"):
        matched_temperature(x, math.nan)
    with pytest.raises(ValueError, match="enclose 1"):
        matched_temperature(x, 1.0, temperature_bounds=(2.0, 3.0))
    with pytest.raises(ValueError, match="at least one context"):
        matched_temperature(lambda: iter(()), 1.0)
    with pytest.raises(ValueError, match="chunks of 37 columns"):
        mean_entropy(lambda: iter([x, x[:, :5]]))
    with pytest.raises(ValueError, match="temperature: expected"):
        mean_entropy(x, 0.0)
    with pytest.raises(ValueError, match="temperature: expected"):
        mean_entropy(x, torch.ones(3))
    shrinking = iter([[x], [x[:2]]])
    with pytest.raises(ValueError, match="4 rows in each pass"):
        matched_temperature(lambda: next(shrinking), 0.5)
