"""Participation ratio and its kin: theorems, and independent oracles."""

import numpy as np
import pytest
import torch
from dimensionality import participation_ratio as chun
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA

from probes import (
    Moments,
    Spectrum,
    corrected_participation_ratio,
    effective_rank,
    norm_outliers,
    participation_ratio,
    pca_dimension,
    rogue_dimensions,
)

MEASURES = [participation_ratio, effective_rank, pca_dimension]
eigenvalues = st.lists(st.floats(0, 1e6), min_size=1, max_size=30).filter(lambda x: max(x) > 1e-3)


def cloud(seed: int, n: int = 60, d: int = 8) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, d, generator=generator, dtype=torch.float64)
    return x * torch.linspace(0.2, 2, d) + torch.randn(d, generator=generator)


@pytest.mark.parametrize("k", [1, 3, 7])
@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_k_equal_eigenvalues_count_as_k(k: int, scale: float) -> None:
    values = torch.cat([torch.full((k,), scale), torch.zeros(5)])
    assert participation_ratio(values) == pytest.approx(k)
    assert effective_rank(values) == pytest.approx(k)
    assert pca_dimension(values, 1.0) == k


@settings(deadline=None)
@given(eigenvalues)
def test_bounds(values: list[float]) -> None:
    x = torch.tensor(values, dtype=torch.float64)
    pr, rank = participation_ratio(x), effective_rank(x)
    assert 1 - 1e-9 <= pr <= rank * (1 + 1e-9)
    assert rank <= len(values) * (1 + 1e-9)


@settings(deadline=None)
@given(eigenvalues, st.floats(0.01, 1.0))
def test_pca_dimension_is_the_least_that_reaches(values: list[float], fraction: float) -> None:
    x = torch.tensor(values, dtype=torch.float64).sort(descending=True).values
    k = pca_dimension(x, fraction)
    target = fraction * float(x.sum())
    assert float(x[:k].sum()) >= target * (1 - 1e-9)
    assert k == 1 or float(x[: k - 1].sum()) < target * (1 + 1e-9)
    real = pca_dimension(x, fraction, interpolate=True)
    assert k - 1 < real <= k


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.floats(1e-6, 1e6), st.floats(-100, 100))
def test_unchanged_by_rotation_scale_and_translation(
    seed: int, scale: float, offset: float
) -> None:
    x = cloud(seed)
    rotation = torch.linalg.qr(cloud(seed + 1, 8, 8))[0]
    for measure in (participation_ratio, effective_rank):
        assert measure((x @ rotation + offset) * scale) == pytest.approx(measure(x), rel=1e-9)
    a = corrected_participation_ratio(x)
    assert corrected_participation_ratio((x @ rotation + offset) * scale) == pytest.approx(a)


@pytest.mark.parametrize("shape", [(40, 12), (9, 30)])
def test_against_scikit_learn(shape: tuple[int, int]) -> None:
    x = cloud(3, *shape).numpy()
    variance = PCA().fit(x).explained_variance_
    share = variance / variance.sum()
    assert participation_ratio(x) == pytest.approx(1 / np.square(share).sum())
    entropy = -(share * np.log(np.maximum(share, 1e-300))).sum()
    assert effective_rank(x) == pytest.approx(np.exp(entropy))
    for fraction in (0.5, 0.9, 0.99):
        wanted = int(np.searchsorted(share.cumsum(), fraction) + 1)
        assert pca_dimension(x, fraction) == wanted


def test_every_kind_of_input_gives_the_same() -> None:
    x = cloud(5)
    moments = Moments.from_rows(x)
    for measure in MEASURES:
        wanted = measure(x)
        for form in (x.numpy(), x.reshape(6, 10, 8), moments, moments.spectrum()):
            assert measure(form) == pytest.approx(wanted)
        assert measure(np.linalg.eigvalsh(np.cov(x.numpy().T)).clip(0)) == pytest.approx(wanted)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_computes_in_float64(dtype: torch.dtype) -> None:
    x = cloud(6).to(dtype)
    assert participation_ratio(x) == participation_ratio(x.double())


def test_center_false_is_the_second_moment() -> None:
    x = cloud(7) + 50
    second = torch.linalg.eigvalsh(x.T @ x).clamp_min(0)
    for measure in (participation_ratio, effective_rank):
        assert measure(x, center=False) == pytest.approx(measure(second))
        assert measure(Moments.from_rows(x), center=False) == pytest.approx(measure(second))


def test_spectrum_describes_itself() -> None:
    x = cloud(8)
    spectrum = Moments.from_rows(x).spectrum(vectors=True)
    assert spectrum.n == 60
    assert spectrum.total == pytest.approx(float(x.var(0, correction=0).sum()))
    assert spectrum.vectors is not None
    rebuilt = spectrum.vectors @ torch.diag(spectrum.eigenvalues) @ spectrum.vectors.T
    torch.testing.assert_close(rebuilt, torch.cov(x.T, correction=0))
    assert bool((spectrum.eigenvalues.diff() <= 0).all())


BAD = {
    "NaN": (torch.tensor([[1.0, float("nan")], [0.0, 1.0]]), "NaN or infinity"),
    "infinite": (torch.tensor([[1.0, float("inf")], [0.0, 1.0]]), "NaN or infinity"),
    "empty": (torch.zeros(0, 4), "at least one entry"),
    "scalar": (torch.tensor(1.0), "shape"),
    "integers": (torch.ones(3, 3, dtype=torch.int64), "floating"),
    "constant": (torch.full((5, 3), 0.1), "zero variance"),
    "one row": (torch.randn(1, 4), "zero variance"),
    "negative": (torch.tensor([1.0, -0.5]), "0 or more"),
    "all zero": (torch.zeros(4), "zero variance"),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("measure", MEASURES)
def test_bad_input_is_refused_by_name(name: str, measure: object) -> None:
    x, message = BAD[name]
    with pytest.raises(ValueError, match=message) as error:
        measure(x)  # type: ignore[operator]
    assert str(error.value).startswith("x: ")


@pytest.mark.parametrize("fraction", [0.0, 1.1, float("nan")])
def test_bad_fraction(fraction: float) -> None:
    with pytest.raises(ValueError, match="fraction"):
        pca_dimension(cloud(1), fraction)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(5, 30), st.integers(2, 20))
def test_row_corrected_equals_the_reference(seed: int, n: int, d: int) -> None:
    x = cloud(seed, n, d)
    wanted = chun(x.numpy(), return_all=True)["row"]
    if wanted > 0:
        assert corrected_participation_ratio(x) == pytest.approx(wanted, rel=1e-6)


def quadruples(rows: list[np.ndarray]) -> float:
    """The unbiased ratio by its definition: products of pairs of distinct prompts."""
    groups = range(len(rows))
    pair = {}
    for g in groups:
        for h in groups:
            apart = (rows[g][:, None] - rows[h][None]).reshape(-1, rows[g].shape[1])
            pair[g, h] = apart.T @ apart
    top = bottom = 0.0
    for g, h in pair:
        for k, m in pair:
            if len({g, h, k, m}) == 4:
                top += np.trace(pair[g, h]) * np.trace(pair[k, m])
                bottom += float((pair[g, h] * pair[k, m]).sum())
    return top / bottom


def test_prompt_corrected_equals_its_definition() -> None:
    rng = np.random.default_rng(0)
    rows = [rng.normal(size=4) + rng.normal(size=(5, 4)) + 3 for _ in range(6)]
    prompts = torch.arange(6).repeat_interleave(5)
    found = corrected_participation_ratio(np.concatenate(rows), prompts)
    assert found == pytest.approx(quadruples(rows))


def test_prompt_corrected_with_one_row_each_is_row_corrected() -> None:
    x = cloud(11, 20)
    order = torch.randperm(20)
    assert corrected_participation_ratio(x, order) == pytest.approx(
        corrected_participation_ratio(x)
    )


def test_prompt_corrected_ignores_order_and_names() -> None:
    x, prompts = cloud(12, 40), torch.arange(8).repeat_interleave(5)
    order = torch.randperm(40)
    wanted = corrected_participation_ratio(x.reshape(8, 5, 8), prompts.reshape(8, 5))
    assert corrected_participation_ratio(x[order], 7 * prompts[order]) == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("x", "prompts", "message"),
    [
        (cloud(1, 3), None, "at least 4 rows"),
        (cloud(1, 9), torch.arange(9) // 3, "at least 4 prompts"),
        (cloud(1, 9), torch.arange(8), "prompts: expected shape"),
        (torch.ones(9, 3), None, "zero variance"),
    ],
)
def test_corrected_refuses(x: torch.Tensor, prompts: torch.Tensor | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        corrected_participation_ratio(x, prompts)


def test_corrected_refuses_noise() -> None:
    # Rows in +- pairs along one axis each: distinct rows have nothing in common.
    x = torch.cat([torch.eye(6), -torch.eye(6)])
    assert participation_ratio(x) == pytest.approx(6)
    with pytest.raises(ValueError, match="too few"):
        corrected_participation_ratio(torch.eye(6))


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_norm_outliers_finds_planted_sinks(scale: float) -> None:
    norms = torch.randn(512, 256).norm(dim=1)
    norms[[0, 99, 200]] *= 40
    mask = norm_outliers(norms * scale)
    assert mask.nonzero().flatten().tolist() == [0, 99, 200]


def test_norm_outliers_shape_and_refusals() -> None:
    assert norm_outliers(np.ones((3, 4))).shape == (3, 4)
    assert not norm_outliers(torch.zeros(5)).any()
    for bad in (torch.tensor([-1.0, 2.0]), torch.tensor([float("nan")]), torch.zeros(0)):
        with pytest.raises(ValueError, match="norms"):
            norm_outliers(bad)
    with pytest.raises(ValueError, match="factor"):
        norm_outliers(torch.ones(3), factor=1.0)


def test_norm_outliers_judges_every_prompt_by_itself() -> None:
    """A prompt of long rows makes no outliers of another's, and hides none."""
    norms = torch.ones(3, 9)
    norms[0, 4] = 11.0
    norms[1] *= 1000
    norms[2, 2] = 9.0
    assert norm_outliers(norms).nonzero().tolist() == [[0, 4]]
    assert norm_outliers(norms, factor=5.0).nonzero().tolist() == [[0, 4], [2, 2]]
    assert all(norm_outliers(norms)[row].equal(norm_outliers(norms[row])) for row in range(3))


def test_rogue_dimensions() -> None:
    x = torch.randn(400, 20, generator=torch.Generator().manual_seed(0))
    assert rogue_dimensions(Moments.from_rows(x)) == ()
    x[:, 4] *= 10
    x[:, 9] *= 30
    moments = Moments.from_rows(x)
    assert rogue_dimensions(moments) == (9, 4)
    assert rogue_dimensions(moments.scaled(torch.full((20,), 1e-3))) == (9, 4)
    assert rogue_dimensions(moments.covariance()) == (9, 4)
    assert rogue_dimensions(moments.covariance().diagonal()) == (9, 4)
    assert rogue_dimensions(torch.zeros(3)) == ()
    with pytest.raises(ValueError, match="symmetric"):
        rogue_dimensions(x)


def test_the_figures_of_the_design_note() -> None:
    """16 spiked rows among 4096 bring a PR near 40 to near 1; found, taken out, restored."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(4096, 64, generator=generator) * torch.linspace(0.3, 1.7, 64)
    clean = participation_ratio(x)
    spiked = x.clone()
    spiked[::256] += 400.0
    assert participation_ratio(spiked) < 1.2
    mask = norm_outliers(spiked.norm(dim=1))
    without = Moments.from_rows(spiked) - Moments.from_rows(spiked[mask])
    assert int(mask.sum()) == 16
    assert participation_ratio(without) == pytest.approx(clean, rel=0.01)


def test_spectrum_of_zero_variance_is_refused() -> None:
    with pytest.raises(ValueError, match="zero variance"):
        _ = Spectrum(torch.zeros(3, dtype=torch.float64)).participation_ratio
