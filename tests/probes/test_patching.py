import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from probes.patching import (
    logit_difference,
    norm_matched_noise,
    recovered_fraction,
    spectrum_matched_noise,
    top1_agreement,
)

seeds = st.integers(0, 2**31 - 1)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@settings(max_examples=30, deadline=None)
@given(seeds, st.floats(-2, 3), st.floats(0.1, 100), st.floats(-100, 100))
def test_fraction_of_a_known_way(seed, share, scale, shift):
    start = torch.randn(20, generator=generator(seed), dtype=torch.float64)
    end = torch.randn(20, generator=generator(seed + 1), dtype=torch.float64)
    found = recovered_fraction(start + share * (end - start), start, end)
    assert found.fraction.numpy() == pytest.approx(np.full(20, share), abs=1e-6)
    assert found.pooled == pytest.approx(share, abs=1e-6)
    moved = recovered_fraction(*(scale * x + shift for x in (end, start, end)))
    assert moved.fraction.numpy() == pytest.approx(np.ones(20))


def test_no_gap_is_masked_never_nan():
    found = recovered_fraction(
        torch.tensor([2.0, 5.0, 1.0]), torch.tensor([1.0, 4.0, 0.0]), torch.tensor([3.0, 4.0, 1e-3])
    )
    assert found.defined.tolist() == [True, False, True]
    assert found.fraction[:2].tolist() == [0.5, 0.0]
    wide = recovered_fraction(
        torch.tensor([2.0, 1.0]), torch.tensor([1.0, 0.0]), torch.tensor([3.0, 1e-3]), 0.1
    )
    assert wide.defined.tolist() == [True, False]
    assert wide.pooled == 0.5
    nothing = recovered_fraction(1.0, 2.0, 2.0)
    assert (float(nothing.fraction), bool(nothing.defined), nothing.pooled) == (0.0, False, None)
    with pytest.raises(ValueError, match="donor: expected the shape of patched"):
        recovered_fraction(np.ones(2), np.ones(2), np.ones(3))
    with pytest.raises(ValueError, match="recipient: expected finite"):
        recovered_fraction(1.0, math.nan, 1.0)
    with pytest.raises(ValueError, match="minimum_gap"):
        recovered_fraction(1.0, 0.0, 1.0, minimum_gap=-1.0)


def test_logit_difference():
    x = torch.tensor([[[1.0, 4.0, 2.0], [0.0, 0.0, -1.0]]], dtype=torch.float16)
    assert logit_difference(x, torch.tensor([[1, 0]]), torch.tensor([[0, 2]])).tolist() == [[3, 1]]
    assert float(logit_difference(x[0, 0], 1, 2)) == 2.0
    with pytest.raises(ValueError, match="b_tokens: expected token ids"):
        logit_difference(x, torch.zeros(1, 2).long(), torch.full((1, 2), 3))


def test_top1_agreement_breaks_ties_by_the_lower_id():
    a = torch.tensor([[1.0, 1.0, 0.0], [0.0, 2.0, 1.0]])
    b = torch.tensor([[2.0, 0.0, 2.0], [0.0, 1.0, 2.0]])
    assert top1_agreement(a, b).tolist() == [True, False]
    with pytest.raises(ValueError, match="b_logits"):
        top1_agreement(a, b[:1])


@settings(max_examples=30, deadline=None)
@given(seeds, st.sampled_from([(7,), (5, 9), (2, 3, 4)]), st.floats(1e-6, 1e6))
def test_noise_has_the_norm_of_the_change(seed, shape, scale):
    delta = torch.randn(shape, generator=generator(seed), dtype=torch.float64) * scale
    noise = norm_matched_noise(delta, generator(seed + 1))
    assert float(noise.norm()) == pytest.approx(float(delta.norm()), rel=1e-14)
    assert noise.shape == delta.shape
    again = norm_matched_noise(delta.float(), generator(seed + 1))
    assert again.dtype == torch.float32
    assert float(again.double().norm()) == pytest.approx(float(delta.norm()), rel=1e-6)
    assert torch.allclose(again.double(), noise, rtol=1e-6)
    cosine = float((noise * delta).sum() / delta.norm() ** 2)
    assert abs(cosine) < 0.999


def test_noise_of_no_change_is_none():
    assert norm_matched_noise(torch.zeros(3, 3), generator()).abs().sum() == 0
    assert spectrum_matched_noise(torch.zeros(3, 2), generator()).abs().sum() == 0


@settings(max_examples=20, deadline=None)
@given(seeds, st.integers(1, 12), st.integers(1, 12))
def test_spectrum_noise_has_the_singular_values(seed, rows, columns):
    delta = torch.randn(rows, columns, generator=generator(seed), dtype=torch.float64)
    noise = spectrum_matched_noise(delta, generator(seed + 1))
    expected = torch.linalg.svdvals(delta)
    assert torch.linalg.svdvals(noise).numpy() == pytest.approx(expected.numpy(), abs=1e-12)


def test_spectrum_noise_keeps_rank_and_forgets_directions():
    delta = torch.randn(40, 2, generator=generator(0)) @ torch.randn(2, 30, generator=generator(1))
    noise = spectrum_matched_noise(delta, generator(2))
    assert int(torch.linalg.matrix_rank(noise, rtol=1e-4)) == 2
    overlaps = [
        float((spectrum_matched_noise(delta, generator(s)) * delta).sum() / delta.norm() ** 2)
        for s in range(50)
    ]
    # E = 0 and sd = sum s^2 / sqrt(m n) / |delta|^2 for Haar frames, about 0.02 here.
    assert abs(float(np.mean(overlaps))) < 0.02
    # Frames straight from a QR all have a first entry of one sign: they would not be uniform.
    one = torch.ones(4, 6)
    signs = [float(spectrum_matched_noise(one, generator(s))[0, 0]) > 0 for s in range(100)]
    assert 25 < sum(signs) < 75
    assert float(np.std(overlaps)) < 0.1


def test_spectrum_noise_of_a_vector_and_refusals():
    vector = torch.arange(1.0, 6.0)
    assert torch.equal(
        spectrum_matched_noise(vector, generator()), norm_matched_noise(vector, generator())
    )
    with pytest.raises(ValueError, match=r"expected shape \[m n\]"):
        spectrum_matched_noise(torch.zeros(2, 2, 2), generator())
    with pytest.raises(ValueError, match="delta: expected finite"):
        norm_matched_noise(torch.tensor([math.inf]), generator())
