import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from probes import participation_ratio
from probes.subspaces import (
    interchange_component,
    leading_directions,
    matched_random_directions,
    new_directions,
    readout_metric,
    removed_variance,
    replace_component,
    visible_share,
    visible_spectrum,
)

seeds = st.integers(0, 2**31 - 1)


def normal(seed, *shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def covariance(seed, d, rank=None):
    x = normal(seed, 4 * d, rank or d) @ normal(seed + 1, rank or d, d)
    return x.mT @ x / len(x)


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_new_directions_are_those_of_the_dense_formula(seed):
    base, fitted = covariance(seed, 8), covariance(seed + 7, 8)
    found = new_directions(base, fitted, fraction=0.8)
    u = found.known
    outside = torch.eye(8) - u @ u.mT
    wanted = torch.linalg.eigvalsh(outside @ (fitted - base) @ outside).flip(0)
    positive = wanted[wanted > 1e-9 * fitted.trace()]
    torch.testing.assert_close(found.growth, positive, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(u.mT @ found.basis, torch.zeros(u.shape[1], len(positive)).double())
    gained = found.basis.mT @ (fitted - base) @ found.basis
    torch.testing.assert_close(gained, torch.diag(found.growth), rtol=1e-8, atol=1e-7)


def test_a_planted_expansion_is_found_and_nothing_is_new_in_a_model_beside_itself():
    base = covariance(0, 12, rank=5)
    axis = torch.linalg.svd(base).U[:, -1:]  # no variance of the base lies there
    found = new_directions(base, base + 3.0 * axis @ axis.mT)
    assert found.growth.tolist() == pytest.approx([3.0])
    assert float((found.first(1).mT @ axis).abs()) == pytest.approx(1.0)
    assert new_directions(base, base).basis.shape == (12, 0)
    assert new_directions(base, 0.5 * base).basis.shape == (12, 0)
    with pytest.raises(ValueError, match="count: expected 1 to 1, found 2"):
        found.first(2)


@settings(max_examples=20, deadline=None)
@given(seeds, st.integers(1, 5))
def test_components(seed, k):
    x, donor, basis = normal(seed, 3, 4, 6), normal(seed + 1, 3, 4, 6), normal(seed + 2, 6, k)
    projection = basis @ torch.linalg.inv(basis.mT @ basis) @ basis.mT
    inside = x @ projection
    torch.testing.assert_close(replace_component(x, basis), x - inside)
    mean = normal(seed + 3, 6)
    replaced = replace_component(x, basis, mean)
    torch.testing.assert_close(replaced @ projection, (mean @ projection).expand_as(x))
    mixed = interchange_component(x, donor, basis)
    torch.testing.assert_close(mixed @ projection, donor @ projection)
    torch.testing.assert_close(mixed - mixed @ projection, x - inside)
    assert torch.equal(interchange_component(x, x, basis), x)
    torch.testing.assert_close(interchange_component(x, donor, torch.eye(6).double()), donor)
    rows = x.reshape(-1, 6)
    centred = rows - rows.mean(0)
    cov = centred.mT @ centred / len(rows)
    part = (rows @ projection).var(0, correction=0).sum()
    assert float(removed_variance(cov, basis)) == pytest.approx(float(part))


def test_components_keep_the_dtype():
    x = normal(0, 5, 6).to(torch.bfloat16)
    for found in (replace_component(x, normal(1, 6, 2)), interchange_component(x, x, torch.eye(6))):
        assert found.dtype == torch.bfloat16


@settings(max_examples=15, deadline=None)
@given(seeds, st.floats(0.05, 0.9))
def test_directions_of_equal_removed_variance(seed, share):
    base, fitted = covariance(seed, 40), covariance(seed + 5, 40)
    known = torch.linalg.eigh(base).eigenvectors[:, -6:]
    wanted = share * float(removed_variance(fitted, torch.linalg.svd(known).U[:, 6:]))
    drawn = matched_random_directions(fitted, generator(seed), variance=wanted, outside=known)
    torch.testing.assert_close(drawn.mT @ drawn, torch.eye(drawn.shape[1]).double())
    torch.testing.assert_close(known.mT @ drawn, torch.zeros(6, drawn.shape[1]).double())
    largest = float(torch.linalg.eigvalsh(fitted)[-1])
    assert abs(float(removed_variance(fitted, drawn)) - wanted) <= largest / 2 + 1e-9
    again = matched_random_directions(fitted, generator(seed), variance=wanted, outside=known)
    assert torch.equal(drawn, again)
    leading = leading_directions(base, fitted, wanted)
    assert abs(float(removed_variance(fitted, leading)) - wanted) <= largest / 2 + 1e-9 or (
        leading.shape[1] == 1
    )


def test_random_directions_have_no_favourite():
    mean = torch.zeros(5, 5).double()
    for seed in range(400):
        q = matched_random_directions(torch.eye(5), generator(seed), count=2)
        mean += q @ q.mT / 400
    torch.testing.assert_close(mean, 0.4 * torch.eye(5).double(), rtol=0, atol=0.06)


@settings(max_examples=15, deadline=None)
@given(seeds)
def test_the_visible_spectrum_is_that_of_the_explicit_centred_logits(seed):
    stream, w = normal(seed, 60, 7), normal(seed + 1, 23, 7) + 3.0
    logits = stream @ w.mT
    centred = logits - logits.mean(-1, keepdim=True)
    rows = stream - stream.mean(0)
    cov = rows.mT @ rows / len(rows)
    metric = readout_metric(w)
    torch.testing.assert_close(metric, w.mT @ w - 23 * torch.outer(w.mean(0), w.mean(0)))
    seen = visible_spectrum(cov, metric)
    assert seen.participation_ratio == pytest.approx(participation_ratio(centred), rel=1e-6)
    assert seen.total == pytest.approx(float(centred.var(0, correction=0).sum()), rel=1e-9)
    basis = normal(seed + 2, 7, 2)
    projection = basis @ torch.linalg.inv(basis.mT @ basis) @ basis.mT
    part = (rows @ projection) @ (w - w.mean(0)).mT
    wanted = part.var(0, correction=0).sum() / seen.total
    assert float(visible_share(cov, metric, basis)) == pytest.approx(float(wanted), rel=1e-9)
    assert float(visible_share(cov, metric, torch.eye(7))) == pytest.approx(1.0)


def test_a_direction_that_no_logit_reads_is_not_seen():
    w = normal(0, 50, 6)
    hidden = torch.linalg.svd(w - w.mean(0), full_matrices=True).Vh[-1:].mT
    w = w - w @ hidden @ hidden.mT
    metric = readout_metric(w)
    base = covariance(3, 6)
    grown = base + 100.0 * hidden @ hidden.mT
    assert math.isclose(
        visible_spectrum(base, metric).participation_ratio,
        visible_spectrum(grown, metric).participation_ratio,
        rel_tol=1e-8,
    )
    assert float(visible_share(grown, metric, hidden)) < 1e-9


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: new_directions(torch.eye(3), torch.eye(4)), "as base"),
        (lambda: new_directions(torch.zeros(3, 3), torch.eye(3)), "some variance"),
        (lambda: new_directions(torch.eye(3), torch.eye(3), fraction=1.0), r"in \(0, 1\)"),
        (lambda: new_directions(torch.ones(3, 3).triu(), torch.eye(3)), "symmetric"),
        (lambda: new_directions(torch.ones(3, 2), torch.eye(3)), r"expected \[d d\]"),
        (lambda: replace_component(torch.ones(2, 4), torch.eye(3)), "width 3"),
        (lambda: replace_component(torch.ones(2, 3), torch.eye(3), torch.ones(4)), "width 3"),
        (lambda: interchange_component(torch.ones(2, 3), torch.ones(3), torch.eye(3)), "as x"),
        (lambda: removed_variance(torch.eye(3), torch.eye(4)), "3 rows"),
        (lambda: leading_directions(torch.eye(3), torch.eye(3), 0.0), "above 0"),
        (lambda: matched_random_directions(torch.eye(3), generator()), "one of them"),
        (lambda: matched_random_directions(torch.eye(3), generator(), count=4), "1 to 3"),
        (lambda: matched_random_directions(torch.eye(3), generator(), variance=0.0), "above 0"),
        (lambda: readout_metric(torch.ones(3)), r"\[v d\]"),
        (lambda: visible_spectrum(torch.eye(3), torch.eye(2)), "as covariance"),
        (lambda: visible_spectrum(torch.eye(3), torch.zeros(3, 3)), "found none"),
        (lambda: visible_share(torch.eye(3), torch.zeros(3, 3), torch.eye(3)), "found none"),
        (lambda: visible_share(torch.eye(3), torch.eye(3), torch.eye(2)), "3 rows"),
    ],
)
def test_refusals(call, words):
    with pytest.raises(ValueError, match=words):
        call()
