"""Temperatures of least divergence, against scipy and scaled copies; entropies and their slopes."""

import math

import pytest
import torch
from scipy.optimize import minimize_scalar

from probes import best_temperature, entropy, entropy_and_slope, kl_divergence


def rows(n=12, v=40, seed=0, scale=3.0):
    return scale * torch.randn(n, v, generator=torch.Generator().manual_seed(seed))


def test_best_temperature_is_the_minimum_that_scipy_finds():
    base, fitted = rows(seed=1), rows(seed=2, scale=1.5) + 0.5 * rows(seed=1)
    temperatures, least = best_temperature(base, fitted)
    for row in range(len(base)):

        def divergence(log_t, row=row):
            return float(kl_divergence(fitted[row], base[row].double() / math.exp(log_t)))

        oracle = minimize_scalar(divergence, bounds=(-6.9, 6.9), method="bounded")
        assert float(least[row]) <= oracle.fun + 1e-9
        assert divergence(math.log(float(temperatures[row]))) == pytest.approx(float(least[row]))


def test_best_temperature_recovers_a_scaled_copy_and_never_loses_to_one():
    base = rows(seed=3)
    temperatures, least = best_temperature(base, base / 0.37)
    torch.testing.assert_close(temperatures, torch.full((12,), 0.37).double(), atol=1e-5, rtol=0)
    assert float(least.max()) < 1e-10
    other = rows(seed=4)
    assert bool((best_temperature(base, other)[1] <= kl_divergence(other, base) + 1e-12).all())


def test_best_temperature_stays_within_its_bounds():
    base = rows(seed=5)
    opposed, _ = best_temperature(base, -base)
    torch.testing.assert_close(opposed, torch.full((12,), 1e3).double(), rtol=1e-6, atol=0)
    certain, least = best_temperature(base, 1e5 * base)
    assert bool(((certain >= 1e-3) & (certain < 0.2)).all())
    assert float(least.max()) < 1e-10


def test_entropy_and_slope_agree_with_the_probe_and_with_a_difference_quotient():
    logits = rows(seed=6)
    at, slope = entropy_and_slope(logits, 0.8)
    torch.testing.assert_close(at, entropy(logits.double() / 0.8))
    step = 1e-4
    up, _ = entropy_and_slope(logits, 0.8 * math.exp(step))
    down, _ = entropy_and_slope(logits, 0.8 * math.exp(-step))
    torch.testing.assert_close(slope, (up - down) / (2 * step), rtol=1e-6, atol=1e-8)


def test_leading_axes_are_kept_and_wrong_input_is_named():
    base, fitted = rows(seed=7), rows(seed=8)
    whole, folded = (
        best_temperature(base, fitted),
        best_temperature(base.reshape(3, 4, -1), fitted.reshape(3, 4, -1)),
    )
    assert torch.equal(whole.temperature, folded.temperature.reshape(-1))
    assert entropy_and_slope(base.reshape(3, 4, -1), 2.0)[1].shape == (3, 4)
    with pytest.raises(ValueError, match="fitted: expected the shape of base"):
        best_temperature(base, fitted[:5])
    with pytest.raises(ValueError, match="temperature_bounds: expected to enclose 1"):
        best_temperature(base, fitted, temperature_bounds=(2.0, 3.0))
    with pytest.raises(ValueError, match="temperature: expected a value above 0, found 0"):
        entropy_and_slope(base, 0.0)
    with pytest.raises(ValueError, match="base: expected finite entries"):
        best_temperature(base.clone().fill_(math.nan), fitted)
