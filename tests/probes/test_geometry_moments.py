"""Streaming moments: exact algebra, and accuracy of the float32 path."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from probes import Moments, participation_ratio
from probes.geometry.mapping import mapped


def rows(seed: int, n: int, d: int = 6) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, d, generator=generator, dtype=torch.float64)
    return x @ torch.randn(d, d, generator=generator, dtype=torch.float64) + 5 * torch.randn(
        d, generator=generator
    )


def assert_same(a: Moments, b: Moments) -> None:
    assert a.n == b.n
    torch.testing.assert_close(a.mean, b.mean, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(a.covariance(), b.covariance(), rtol=1e-8, atol=1e-8)


def test_against_numpy() -> None:
    x = rows(0, 200)
    moments = Moments.from_rows(x)
    np.testing.assert_allclose(moments.mean, x.numpy().mean(0))
    np.testing.assert_allclose(moments.covariance(), np.cov(x.numpy().T, bias=True))
    np.testing.assert_allclose(moments.second_moment(), (x.T @ x / 200).numpy())


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.lists(st.integers(0, 30), min_size=1, max_size=6))
def test_any_split_in_any_order_is_the_whole(seed: int, sizes: list[int]) -> None:
    x = rows(seed, sum(sizes) + 1)
    whole = Moments.from_rows(x)
    parts = x.split([*sizes, 1])
    streamed = Moments(6)
    for part in reversed(parts):
        streamed.add(part)
    assert_same(streamed, whole)
    merged = Moments(6)
    for part in parts:
        single = Moments(6)
        single.add(part)
        merged.merge(single)
    assert_same(merged, whole)


def test_a_flush_leaves_no_buffer_and_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    x = rows(0, 60, 200)
    whole = Moments.from_rows(x)
    monkeypatch.setattr(torch, "empty", lambda *size, **given: torch.full(size, torch.nan, **given))
    streamed = Moments(200)
    for part in x.split(7):
        streamed.add(part)
        assert streamed._pending is not None
        streamed.flush()
        assert streamed._pending is None
    assert_same(streamed, whole)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.integers(2, 30), st.integers(1, 30))
def test_minus_undoes_merge(seed: int, n: int, k: int) -> None:
    a, b = Moments.from_rows(rows(seed, n)), Moments.from_rows(rows(seed + 1, k))
    both = Moments(6).merge(a).merge(b)
    assert both.n == n + k
    assert_same(both - b, a)
    assert_same(both.minus(a), b)
    assert both.n == n + k  # neither is changed


def test_adding_goes_on_after_reading() -> None:
    x = rows(1, 90)
    moments = Moments(6)
    for part in x.split(10):
        moments.add(part)
        moments.covariance()
    assert_same(moments, Moments.from_rows(x))


def test_scaled_equals_scaling_the_rows() -> None:
    x, scale = rows(2, 50), torch.linspace(0.01, 3, 6)
    assert_same(Moments.from_rows(x).scaled(scale), Moments.from_rows(x * scale))


def test_rebase_changes_nothing_but_the_reference() -> None:
    x = rows(3, 50)
    a, b = Moments.from_rows(x[:20]), Moments.from_rows(x[20:])
    shift = torch.randn(6, dtype=torch.float64)
    states = [m.rebase(shift).state() for m in (a, b)]
    summed = {key: states[0][key] + states[1][key] for key in ("n", "sum", "second")}
    assert_same(Moments.from_state({**summed, "shift": shift}), Moments.from_rows(x))


def test_state_round_trip() -> None:
    moments = Moments.from_rows(rows(4, 30))
    again = Moments.from_state(moments.state())
    assert_same(again, moments)
    again.add(rows(5, 3))
    assert (again.n, moments.n) == (33, 30)
    assert Moments.from_state(Moments(4).state()).n == 0
    with pytest.raises(ValueError, match="missing"):
        Moments.from_state({"n": torch.tensor(1)})


def test_inference_mode_leaves_a_usable_accumulator() -> None:
    with torch.inference_mode():
        moments = Moments(6)
        moments.add(rows(6, 10))
    moments.add(rows(7, 10).requires_grad_())
    moments.merge(Moments.from_rows(rows(8, 10)))
    assert not moments.covariance().requires_grad
    assert_same(moments, Moments.from_rows(torch.cat([rows(6, 10), rows(7, 10), rows(8, 10)])))


def test_autocast_does_not_reach_the_matmul() -> None:
    x = rows(9, 100).float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = Moments.from_rows(x)
    assert_same(found, Moments.from_rows(x))


def test_reduced_float32_precision_is_not_used() -> None:
    x = rows(9, 500).float()
    wanted = Moments.from_rows(x, torch.float64).covariance()
    torch.set_float32_matmul_precision("medium")
    try:
        found = Moments.from_rows(x).covariance()
    finally:
        torch.set_float32_matmul_precision("highest")
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf"), 1e30])
def test_a_refused_batch_leaves_no_trace(bad: float) -> None:
    x = rows(10, 20).float()
    moments = Moments.from_rows(x)
    wanted = moments.covariance()
    worse = torch.randn(9000, 6)
    worse[8000, 3] = bad
    with pytest.raises(ValueError, match=r"rows: expected finite"):
        moments.add(worse)
    assert moments.n == 20
    torch.testing.assert_close(moments.covariance(), wanted)


def test_refusals() -> None:
    moments = Moments(6)
    with pytest.raises(ValueError, match=r"rows: expected \[... 6\]"):
        moments.add(torch.zeros(3, 5))
    with pytest.raises(ValueError, match="at least one row"):
        moments.covariance()
    with pytest.raises(ValueError, match="width 6"):
        moments.merge(Moments(5))
    with pytest.raises(ValueError, match="at most 0 rows"):
        moments.minus(Moments.from_rows(rows(0, 2)))
    with pytest.raises(ValueError, match="compute_dtype"):
        Moments(6, compute_dtype=torch.bfloat16)
    with pytest.raises(ValueError, match="d: expected"):
        Moments(0)
    with pytest.raises(ValueError, match="scale"):
        moments.scaled(torch.ones(5))


def hard_rows(kind: str, n: int = 4096, d: int = 96) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(n, d, generator=generator) * torch.linspace(1, 0.05, d)
    if kind == "mean 1e4":
        x += 1e4 * torch.randn(d, generator=generator)
    elif kind == "massive dimension":
        x[:, 7] = 1000 * x[:, 7] + 3000
    elif kind == "attention sink":
        x[::128, 3] += 5000
    elif kind == "drift":
        x += torch.linspace(0, 50, n)[:, None]
    elif kind == "odd first batch":
        x[:256] += 1000
    elif kind == "bfloat16":
        x = (x + 100).bfloat16()
    return x


@pytest.mark.parametrize(
    "kind",
    ["mean 1e4", "massive dimension", "attention sink", "drift", "odd first batch", "bfloat16"],
)
def test_float32_path_is_good_to_a_millionth(kind: str) -> None:
    x = hard_rows(kind)
    moments = Moments(x.shape[1])
    for batch in x.split(256):
        moments.add(batch)
    exact = np.cov(x.double().numpy().T, bias=True)
    assert participation_ratio(moments) == pytest.approx(
        float(np.trace(exact) ** 2 / (exact**2).sum()), rel=1e-6
    )
    scale = 1 / np.sqrt(np.diag(exact).clip(1e-9))
    whitened = exact * np.outer(scale, scale)
    assert participation_ratio(moments.scaled(scale)) == pytest.approx(
        float(np.trace(whitened) ** 2 / (whitened**2).sum()), rel=1e-6
    )


def test_mapped_is_as_if_every_row_had_been_mapped() -> None:
    generator = torch.Generator().manual_seed(3)
    rows = torch.randn(50, 6, generator=generator, dtype=torch.float64) + 5
    matrix = torch.randn(6, 6, generator=generator, dtype=torch.float64)
    found = mapped(Moments.from_rows(rows, torch.float64), matrix)
    direct = Moments.from_rows(rows @ matrix, torch.float64)
    torch.testing.assert_close(found.covariance(), direct.covariance())
    torch.testing.assert_close(found.mean, direct.mean)
    assert found.n == direct.n
    assert mapped(Moments.from_rows(rows), matrix[:, :2]).d == 2
    with pytest.raises(ValueError, match="matrix: expected 6 rows, found 2"):
        mapped(Moments.from_rows(rows), matrix[:2])
