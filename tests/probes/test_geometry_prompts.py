"""Leaving prompts out: against brute force, pooled, merged, scaled."""

import numpy as np
import pytest
import torch

from probes import (
    LeaveOneOut,
    Moments,
    PromptSpectra,
    Spectrum,
    corrected_participation_ratio,
    jackknife,
    participation_ratio,
)


def prompts_of(
    count: int, tokens: int, d: int, *, vary: bool = False, seed: int = 0
) -> list[torch.Tensor]:
    """Rows that share a part and a scale within a prompt, about a mean of 2, in float64."""
    rng = np.random.default_rng(seed)
    sd = np.exp(-np.arange(d) / (d / 2))
    turn = np.linalg.qr(rng.standard_normal((d, d)))[0]
    out: list[torch.Tensor] = []
    for _ in range(count):
        n = int(rng.integers(tokens // 2, tokens + 1)) if vary else tokens
        common = (rng.standard_normal(d) * sd) @ turn
        own = rng.standard_normal((n, d)) * sd
        scale = np.exp(0.3 * rng.standard_normal())
        out.append(torch.from_numpy(2 + scale * (0.5 * common + 0.85 * own)))
    return out


def accumulated(
    rows: list[torch.Tensor], max_groups: int = 256, *, exact: bool = False
) -> PromptSpectra:
    moments = Moments.from_rows(torch.cat(rows))
    accumulator = PromptSpectra(moments.spectrum(vectors=True), max_groups=max_groups, exact=exact)
    for i, prompt in enumerate(rows):
        accumulator.add(prompt, i)
    return accumulator


def brute(rows: list[torch.Tensor], drop: set[int]) -> dict[str, float]:
    kept = [r for i, r in enumerate(rows) if i not in drop]
    x = torch.cat(kept)
    ids = torch.cat([torch.full((len(r),), i) for i, r in enumerate(kept)])
    values = torch.linalg.eigvalsh(torch.cov(x.T, correction=0)).flip(0).clamp_min(0)
    spectrum = Spectrum(values)
    return {
        "pr": participation_ratio(x),
        "pr_corrected": corrected_participation_ratio(x, ids),
        "effective_rank": spectrum.effective_rank,
        "d90": float(spectrum.pca_dimension(0.90, interpolate=True)),
        "d95": float(spectrum.pca_dimension(0.95, interpolate=True)),
        "d99": float(spectrum.pca_dimension(0.99, interpolate=True)),
    }


def without_each(rows: list[torch.Tensor]) -> dict[str, np.ndarray]:
    each = [brute(rows, {g}) for g in range(len(rows))]
    return {name: np.array([e[name] for e in each]) for name in each[0]}


def se(loo: np.ndarray) -> float:
    return jackknife(0.0, loo).se


@pytest.mark.parametrize("vary", [False, True])
@pytest.mark.parametrize(("tokens", "d"), [(40, 24), (10, 40)])
def test_full_figures_and_naive_pr_are_exact(vary: bool, tokens: int, d: int) -> None:
    rows = prompts_of(14, tokens, d, vary=vary)
    found = accumulated(rows).leave_one_out()
    for name, wanted in brute(rows, set()).items():
        assert found.full[name] == pytest.approx(wanted, rel=1e-9), name
    np.testing.assert_allclose(found.loo["pr"], without_each(rows)["pr"], rtol=1e-9)
    assert found.prompts == tuple(range(14))
    assert set(found.counts) == {1}
    assert not found.missing


@pytest.mark.parametrize("vary", [False, True])
def test_corrected_pr_without_a_prompt_is_close(vary: bool) -> None:
    rows = prompts_of(20, 40, 32, vary=vary)
    found, wanted = accumulated(rows).leave_one_out().loo, without_each(rows)
    np.testing.assert_allclose(found["pr_corrected"], wanted["pr_corrected"], rtol=0.01)
    assert np.corrcoef(found["pr_corrected"], wanted["pr_corrected"])[0, 1] > 0.99
    assert se(found["pr_corrected"]) == pytest.approx(se(wanted["pr_corrected"]), rel=0.06)


def test_exact_eigenvalues_are_exact() -> None:
    rows = prompts_of(8, 30, 16)
    found, wanted = accumulated(rows, exact=True).leave_one_out().loo, without_each(rows)
    for name in ("effective_rank", "d90", "d95", "d99"):
        np.testing.assert_allclose(found[name], wanted[name], rtol=1e-8)


def test_shifted_eigenvalues_give_usable_errors() -> None:
    """Mean ratio of standard errors to brute force near 1, and never wildly off."""
    ratios: dict[str, list[float]] = {"effective_rank": [], "d90": [], "d95": [], "d99": []}
    for seed in range(4):
        rows = prompts_of(20, 48, 48, seed=seed)
        found, wanted = accumulated(rows).leave_one_out().loo, without_each(rows)
        for name, ratio in ratios.items():
            ratio.append(se(found[name]) / se(wanted[name]))
    for name, ratio in ratios.items():
        assert 0.75 < np.mean(ratio) < 1.6, (name, ratio)


@pytest.mark.parametrize("entries", [1, 123, 500])
def test_strips_of_the_second_moment_add_up_to_the_whole(
    monkeypatch: pytest.MonkeyPatch, entries: int
) -> None:
    rows = prompts_of(14, 20, 40)
    whole = accumulated(rows).leave_one_out()
    monkeypatch.setattr("probes.geometry.prompts._STRIP", entries)
    assert_same(accumulated(rows).leave_one_out(), whole)


def test_eigenvalues_are_pushed_apart_pair_by_pair() -> None:
    rows = prompts_of(6, 20, 7)
    spectrum = Moments.from_rows(torch.cat(rows)).spectrum(vectors=True)
    assert spectrum.vectors is not None
    n, levels = sum(map(len, rows)), (spectrum.eigenvalues * sum(map(len, rows))).numpy()
    y = ((rows[0] - spectrum.mean) @ spectrum.vectors).numpy()
    sums = y.sum(0)
    loss = y.T @ y + np.outer(sums, sums) / (n - len(y))
    wanted = -np.diag(loss)
    for i in range(7):
        for j in set(range(7)) - {i}:
            pair = np.diag([levels[i], levels[j]]) - loss[np.ix_([i, j], [i, j])]
            upper, lower = np.linalg.eigvalsh(pair)[::-1]
            mine = upper if pair[0, 0] > pair[1, 1] else lower
            wanted[i] += mine - pair[0, 0]
    np.testing.assert_allclose(accumulated(rows).state()["shift"][0], wanted, rtol=1e-9, atol=1e-9)


def test_rows_that_are_mapped_are_as_if_they_were_the_mapped_ones() -> None:
    rows = prompts_of(9, 20, 12)
    through = torch.randn(12, 7, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    mapped = [r @ through for r in rows]
    wanted = accumulated(mapped).leave_one_out()
    spectrum = Moments.from_rows(torch.cat(mapped)).spectrum(vectors=True)
    accumulator = PromptSpectra(spectrum, through=through, compute_dtype=torch.float64)
    for prompt, given in enumerate(rows):
        accumulator.add(given, prompt)
    again = PromptSpectra.from_state(accumulator.state(), spectrum, through=through)
    for found in (accumulator.leave_one_out(), again.leave_one_out()):
        assert found.full == pytest.approx(wanted.full, rel=1e-5)
        for name, values in wanted.loo.items():
            np.testing.assert_allclose(found.loo[name], values, rtol=1e-4)


def test_a_map_of_another_shape_or_beside_a_scale_is_refused() -> None:
    spectrum = Moments.from_rows(torch.randn(30, 4)).spectrum(vectors=True)
    with pytest.raises(ValueError, match=r"through: expected \[c 4\], found \[4, 3\]"):
        PromptSpectra(spectrum, through=torch.ones(4, 3))
    with pytest.raises(ValueError, match="through: expected no scale beside it"):
        PromptSpectra(spectrum, scale=torch.ones(4), through=torch.eye(4))
    accumulator = PromptSpectra(spectrum, through=torch.ones(9, 4))
    with pytest.raises(ValueError, match=r"rows: expected \[t 9\], found \[5, 4\]"):
        accumulator.add(torch.ones(5, 4), 0)


def test_scale_is_as_if_the_rows_were_scaled() -> None:
    rows, scale = prompts_of(9, 20, 12), torch.linspace(0.1, 4, 12)
    wanted = accumulated([r * scale for r in rows]).leave_one_out()
    moments = Moments.from_rows(torch.cat(rows)).scaled(scale)
    accumulator = PromptSpectra(moments.spectrum(vectors=True), scale=scale)
    for i, prompt in enumerate(rows):
        accumulator.add(prompt, i)
    assert_same(accumulator.leave_one_out(), wanted)


def assert_same(a: LeaveOneOut, b: LeaveOneOut, rtol: float = 1e-7) -> None:
    assert (a.prompts, a.counts, set(a.full)) == (b.prompts, b.counts, set(b.full))
    for name in a.full:
        assert a.full[name] == pytest.approx(b.full[name], rel=rtol)
        np.testing.assert_allclose(a.loo[name], b.loo[name], rtol=rtol)


@pytest.mark.parametrize("max_groups", [256, 5])
def test_order_processes_and_storage_do_not_matter(max_groups: int) -> None:
    rows = prompts_of(13, 12, 10, vary=True)
    wanted = accumulated(rows, max_groups).leave_one_out()
    spectrum = Moments.from_rows(torch.cat(rows)).spectrum(vectors=True)
    shards = [PromptSpectra(spectrum, max_groups=max_groups) for _ in range(3)]
    for i in reversed(range(13)):
        shards[i % 3].add(rows[i], i)
    again = [PromptSpectra.from_state(s.state(), spectrum, None, max_groups) for s in shards]
    merged = PromptSpectra(spectrum, max_groups=max_groups)
    for shard in again:
        merged.merge(shard)
    assert_same(merged.leave_one_out(), wanted)


def test_pooled_groups_are_left_out_together() -> None:
    rows = prompts_of(48, 24, 32)
    found = accumulated(rows, max_groups=16).leave_one_out()
    assert found.counts == (3,) * 16
    each = [brute(rows, {g, g + 16, g + 32}) for g in range(16)]
    for name, rtol, apart in (("pr", 0.003, 0.1), ("pr_corrected", 0.01, 0.15)):
        wanted = np.array([e[name] for e in each])
        np.testing.assert_allclose(found.loo[name], wanted, rtol=rtol)
        assert se(found.loo[name]) == pytest.approx(se(wanted), rel=apart)
    # Fewer units, same standard error in expectation.
    apart = accumulated(rows).leave_one_out()
    assert se(found.loo["pr"]) == pytest.approx(se(apart.loo["pr"]), rel=0.5)
    assert found.full["pr_corrected"] == pytest.approx(apart.full["pr_corrected"], rel=0.01)


def test_memory_is_bounded() -> None:
    rows = prompts_of(40, 4, 6)
    accumulator = accumulated(rows, max_groups=4)
    assert accumulator.state()["sums"].shape == (4, 6)
    seen = accumulator.state()["seen"]
    assert (seen.dtype, seen.tolist()) == (torch.uint8, [1] * 40)


def test_float32_rows_are_good_to_six_digits() -> None:
    rows = prompts_of(10, 30, 20)
    assert_same(
        accumulated([r.float() for r in rows]).leave_one_out(),
        accumulated(rows).leave_one_out(),
        1e-5,
    )


def test_inference_mode_leaves_a_usable_sink() -> None:
    rows = prompts_of(6, 10, 5)
    spectrum = Moments.from_rows(torch.cat(rows)).spectrum(vectors=True)
    with torch.inference_mode():
        accumulator = PromptSpectra(spectrum)
        for i in range(3):
            accumulator.add(rows[i], i)
    for i in range(3, 6):
        accumulator.add(rows[i], i)
    assert_same(accumulator.leave_one_out(), accumulated(rows).leave_one_out())


def test_too_few_prompts_leave_a_reason() -> None:
    found = accumulated(prompts_of(4, 10, 5)).leave_one_out()
    assert "at least 5 prompts" in found.missing["pr_corrected"]
    assert "pr_corrected" not in found.loo
    assert np.isfinite(found.loo["pr"]).all()


def test_rows_without_variance_leave_a_reason_for_every_figure() -> None:
    same = [torch.full((4, 3), 0.1) for _ in range(6)]
    one = [*same[1:], prompts_of(1, 4, 3)[0].float()]
    for rows, reason in ((same, "nothing varies"), (one, "holds all the variance")):
        found = accumulated(rows).leave_one_out()
        names = {"pr", "pr_corrected", "effective_rank", "d90", "d95", "d99"}
        assert (set(found.missing), set(found.full), set(found.loo)) == (names, set(), set())
        assert all(reason in words for words in found.missing.values())


def test_refusals() -> None:
    rows = prompts_of(5, 10, 4)
    moments = Moments.from_rows(torch.cat(rows))
    with pytest.raises(ValueError, match="vectors, mean and n"):
        PromptSpectra(moments.spectrum())
    spectrum = moments.spectrum(vectors=True)
    with pytest.raises(ValueError, match="max_groups"):
        PromptSpectra(spectrum, max_groups=1)
    accumulator = PromptSpectra(spectrum)
    accumulator.add(rows[0], 0)
    with pytest.raises(ValueError, match="new id"):
        accumulator.add(rows[1], 0)
    with pytest.raises(ValueError, match=r"\[t 4\]"):
        accumulator.add(torch.zeros(3, 5), 1)
    with pytest.raises(ValueError, match="finite"):
        accumulator.add(torch.full((3, 4), float("nan")), 1)
    with pytest.raises(ValueError, match="at least 2 prompts"):
        accumulator.leave_one_out()
    with pytest.raises(ValueError, match="in both"):
        accumulator.merge(accumulator)
    accumulator.add(rows[1], 1)
    with pytest.raises(ValueError, match="the 50 rows behind the spectrum, found 20"):
        accumulator.leave_one_out()


def test_other_rows_than_those_behind_the_spectrum_are_noticed() -> None:
    rows = prompts_of(5, 10, 4)
    accumulator = PromptSpectra(Moments.from_rows(torch.cat(rows)).spectrum(vectors=True))
    for i, prompt in enumerate(rows):
        accumulator.add(prompt * 1.5, i)
    with pytest.raises(ValueError, match="found other rows"):
        accumulator.leave_one_out()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_gpu_agrees_with_the_cpu() -> None:
    rows = [r.float() for r in prompts_of(10, 30, 20)]
    found = accumulated([r.cuda() for r in rows]).leave_one_out()
    assert_same(found, accumulated(rows).leave_one_out(), 1e-4)
