import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import subspace_angles

from probes import slices
from probes.similarity import (
    CrossMoments,
    DriftAccumulator,
    drift,
    linear_cka,
    principal_angles,
    subspace_overlap,
    variance_outside,
)

seeds = st.integers(0, 2**31 - 1)


def normal(seed, *shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def rotation(seed, d):
    return torch.linalg.qr(normal(seed, d, d)).Q


def gram_cka(x, y):
    """The oracle: CKA from centred Gram matrices (the example-space form, HSIC)."""
    n = len(x)
    centre = np.eye(n) - 1 / n
    k, m = (centre @ (z @ z.T) @ centre for z in (x.numpy(), y.numpy()))
    return (k * m).sum() / math.sqrt((k * k).sum() * (m * m).sum())


@settings(max_examples=20, deadline=None)
@given(seeds, st.floats(0.01, 100), st.floats(-10, 10))
def test_cka_is_the_gram_form_and_invariant(seed, scale, shift):
    x, y = normal(seed, 30, 6), normal(seed + 1, 30, 9)
    expected = float(linear_cka(x, y))
    assert expected == pytest.approx(gram_cka(x, y), rel=1e-10)
    moved = scale * x @ rotation(seed + 2, 6) + shift
    assert float(linear_cka(moved, y)) == pytest.approx(expected, rel=1e-9)
    assert float(linear_cka(y, x)) == pytest.approx(expected, rel=1e-12)
    assert float(linear_cka(x, moved)) == pytest.approx(1.0, abs=1e-12)


def test_cka_of_unrelated_rows_falls_with_n():
    assert float(linear_cka(normal(0, 4000, 5), normal(1, 4000, 5))) < 0.01
    x = normal(2, 50, 3)
    orthogonal = torch.linalg.qr(torch.cat([torch.ones(50, 1), x, normal(3, 50, 3)], 1)).Q[:, 4:]
    assert float(linear_cka(x, orthogonal)) < 1e-25


def test_cka_refusals():
    x = normal(0, 4, 3)
    with pytest.raises(ValueError, match="no variance"):
        linear_cka(x, torch.ones(4, 2) * 0.1)
    with pytest.raises(ValueError, match="found 4 and 3"):
        linear_cka(x, x[:3])
    with pytest.raises(ValueError, match="the same 2 rows"):
        linear_cka(x[:1], x[:1])
    with pytest.raises(ValueError, match=r"y: expected shape \[n d2\]"):
        linear_cka(x, x[0])
    with pytest.raises(ValueError, match="y: expected finite"):
        linear_cka(x, x * math.inf)
    assert float(linear_cka(x * 1e200, x * 1e-200)) == pytest.approx(1.0)


@settings(max_examples=15, deadline=None)
@given(seeds, st.integers(1, 29), st.floats(-20, 20))
def test_streamed_cka_equals_cka(seed, cut, shift):
    x, y = normal(seed, 30, 6) + shift, normal(seed + 1, 30, 4) - shift
    first, second = CrossMoments(6, 4), CrossMoments(6, 4)
    first.add(x[:cut], y[:cut])
    second.add(x[cut:].reshape(1, -1, 6), y[cut:].numpy().reshape(1, -1, 4))
    merged = CrossMoments.from_state(first.state()).merge(second)
    assert (merged.n, first.n) == (30, cut)
    cross = np.cov(x.numpy().T, y.numpy().T, bias=True)[:6, 6:]
    assert merged.cross_covariance().numpy() == pytest.approx(cross, abs=1e-10)
    covs = [torch.from_numpy(np.cov(z.numpy().T, bias=True)) for z in (x, y)]
    assert float(merged.linear_cka(*covs)) == pytest.approx(float(linear_cka(x, y)), abs=1e-10)
    added = {k: first.state()[k] + second.state()[k] for k in first.state()}
    assert torch.equal(CrossMoments.from_state(added).cross_covariance(), merged.cross_covariance())


def test_cross_moments_refusals_leave_the_sums_alone():
    sums = CrossMoments(2, 3)
    with pytest.raises(ValueError, match="at least one row"):
        sums.cross_covariance()
    for x, y in ((normal(0, 4, 3), normal(0, 4, 3)), (normal(0, 4, 2), normal(0, 5, 3))):
        with pytest.raises(ValueError, match="x, y: expected"):
            sums.add(x, y)
    with pytest.raises(ValueError, match="y: expected finite"):
        sums.add(normal(0, 4, 2), normal(0, 4, 3) * math.nan)
    assert sums.n == 0
    assert sums.state()["sum_x"].abs().sum() == 0
    with pytest.raises(ValueError, match="widths 2 and 3"):
        sums.merge(CrossMoments(3, 3))
    with pytest.raises(ValueError, match="missing"):
        CrossMoments.from_state({})
    sums.add(normal(0, 4, 2), normal(1, 4, 3))
    with pytest.raises(ValueError, match="cov_y: expected"):
        sums.linear_cka(torch.eye(2), torch.eye(2))


@settings(max_examples=25, deadline=None)
@given(seeds, st.integers(1, 6), st.integers(1, 6))
def test_angles_equal_scipy(seed, ka, kb):
    a, b = normal(seed, 8, ka), normal(seed + 1, 8, kb)
    found = principal_angles(a, b).numpy()
    # scipy's own angles are good to 3e-8 where spans meet; the planted ones below are exact.
    assert found == pytest.approx(np.sort(subspace_angles(a.numpy(), b.numpy())), abs=1e-7)
    assert float(subspace_overlap(a, b)) == pytest.approx((np.cos(found) ** 2).mean(), abs=1e-12)
    turn, mix = rotation(seed + 2, 8), normal(seed + 3, ka, ka) + 5 * torch.eye(ka)
    assert principal_angles(turn @ a @ mix, turn @ b).numpy() == pytest.approx(found, abs=1e-9)


@pytest.mark.parametrize("angle", [1e-12, 1e-9, 1e-4, 0.3, math.pi / 4, 1.5, math.pi / 2])
def test_a_planted_angle_is_found(angle):
    basis = torch.eye(5, dtype=torch.float64)
    turned = torch.stack([math.cos(angle) * basis[:, 0] + math.sin(angle) * basis[:, 3]], 1)
    found = principal_angles(basis[:, :2], torch.cat([turned, basis[:, 1:2]], 1))
    assert found.tolist() == pytest.approx([0.0, angle], rel=1e-9, abs=1e-16)


def test_overlap_of_random_subspaces_is_k_over_d():
    found = [float(subspace_overlap(normal(s, 50, 10), normal(s + 99, 50, 5))) for s in range(40)]
    assert np.mean(found) == pytest.approx(10 / 50, abs=0.02)


def test_subspace_refusals():
    basis = torch.eye(4)
    with pytest.raises(ValueError, match="basis_a: expected independent"):
        principal_angles(torch.ones(4, 2), basis)
    with pytest.raises(ValueError, match="found a zero column"):
        principal_angles(basis, torch.zeros(4, 1))
    with pytest.raises(ValueError, match="no more columns than rows"):
        principal_angles(basis[:2], basis[:2])
    with pytest.raises(ValueError, match="basis_b: expected 4 rows"):
        subspace_overlap(basis, torch.eye(3))


@settings(max_examples=20, deadline=None)
@given(seeds, st.integers(1, 7))
def test_variance_outside_of_eigenvectors_is_the_rest_of_the_spectrum(seed, k):
    spectrum = normal(seed, 8).square().sort(descending=True).values
    frame = rotation(seed, 8)
    covariance = frame * spectrum @ frame.T
    inside = frame[:, :k] @ (normal(seed + 1, k, k) + 5 * torch.eye(k))
    expected = 1 - float(spectrum[:k].sum() / spectrum.sum())
    assert float(variance_outside(covariance, inside)) == pytest.approx(expected, abs=1e-10)
    assert float(variance_outside(covariance, frame)) == pytest.approx(0.0, abs=1e-14)


def test_variance_outside_refusals():
    with pytest.raises(ValueError, match="symmetric"):
        variance_outside(torch.tensor([[1.0, 2.0], [0.0, 1.0]]), torch.eye(2))
    with pytest.raises(ValueError, match="positive trace"):
        variance_outside(torch.zeros(2, 2), torch.eye(2))
    with pytest.raises(ValueError, match="covariance: expected"):
        variance_outside(torch.eye(3), torch.eye(2))


@settings(max_examples=20, deadline=None)
@given(seeds, st.floats(-3, 3), st.integers(0, 30))
def test_drift_by_definition_and_streamed(seed, scale, cut):
    x = normal(seed, 5, 6, 7)
    y = scale * x + normal(seed + 1, 5, 6, 7)
    found = drift(x, y)
    distance = np.linalg.norm(y - x, axis=-1)
    size = np.linalg.norm(x, axis=-1)
    cosine = (x * y).sum(-1).numpy() / size / np.linalg.norm(y, axis=-1)
    assert found.distance.numpy() == pytest.approx(distance)
    assert found.relative.numpy() == pytest.approx(distance / size)
    assert found.cosine.numpy() == pytest.approx(cosine)
    assert found.means.relative == pytest.approx((distance / size).mean())
    assert found.means.pooled == pytest.approx(math.sqrt((distance**2).sum() / (size**2).sum()))
    sums, rest = DriftAccumulator(), DriftAccumulator()
    a, b = x.reshape(-1, 7), y.reshape(-1, 7)
    for part, rows in ((sums, slice(0, cut)), (rest, slice(cut, 30))):
        if rows.stop > rows.start:
            part.add(a[rows], b[rows])
    merged = DriftAccumulator.from_state(sums.state()).merge(rest).result()
    for field in ("n", "distance", "relative", "cosine", "pooled"):
        assert getattr(merged, field) == pytest.approx(getattr(found.means, field))


def test_zero_rows_are_not_behind_the_means():
    sums = DriftAccumulator()
    sums.add(torch.zeros(3, 2), torch.ones(3, 2))
    assert sums.n == 0
    sums.add(torch.ones(2, 2), torch.ones(2, 2))
    assert sums.n == sums.result().n == 2


def test_drift_of_scale_and_rotation(monkeypatch):
    x = normal(0, 20, 4)
    scaled = drift(x, 3 * x)
    assert scaled.relative.tolist() == pytest.approx([2.0] * 20)
    assert scaled.cosine.tolist() == pytest.approx([1.0] * 20)
    same = drift(x.half(), x.half())
    assert (same.means.relative, same.means.distance) == (0.0, 0.0)
    expected = drift(x, normal(1, 20, 4)).relative
    monkeypatch.setattr(slices, "_CPU_BYTES", 8 * 9)
    assert torch.equal(drift(x, normal(1, 20, 4)).relative, expected)


def test_zero_rows_are_left_out_and_counted():
    x = torch.tensor([[3.0, 4.0], [0.0, 0.0], [1.0, 0.0]])
    y = torch.tensor([[6.0, 8.0], [1.0, 0.0], [0.0, 0.0]])
    found = drift(x, y)
    assert found.defined.tolist() == [True, False, False]
    assert (found.means.n, found.means.skipped, found.means.relative) == (1, 2, 1.0)
    assert found.cosine.tolist() == [1.0, 0.0, 0.0]
    with pytest.raises(ValueError, match="not zero, skipped 1"):
        drift(x[1:2], y[1:2])
    with pytest.raises(ValueError, match="y: expected the shape of x"):
        drift(x, y[:2])
    with pytest.raises(ValueError, match="state"):
        DriftAccumulator.from_state({"sums": torch.zeros(3)})


def test_drift_knows_rows_that_are_the_same():
    x = normal(1, 20, 4)
    sums = DriftAccumulator()
    assert not sums.identical  # of nothing
    sums.add(x, x)
    sums.add(x[:3], x[:3].clone())
    assert sums.identical
    other = DriftAccumulator()
    other.add(x, x * (1 + 1e-7))
    assert not other.identical
    assert not sums.merge(other).identical
    skipped = DriftAccumulator()
    skipped.add(torch.zeros(2, 4), torch.tensor([[0.0] * 4, [1.0] * 4]))
    assert not skipped.identical
