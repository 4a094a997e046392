"""The change of a weight matrix: against numpy, and on matrices whose answer is known."""

import numpy as np
import pytest
import torch

from probes import intruder_directions, truncated_change, weight_change


def drawn(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", [(7, 5), (5, 7), (6, 1), (25, 3), (3, 25)])
def test_sizes_and_spectrum_are_numpys(shape):
    old, new = drawn(*shape), drawn(*shape, seed=1)
    found = weight_change(old, new)
    difference = new.double().numpy() - old.double().numpy()
    values = np.linalg.svd(difference, compute_uv=False)
    assert np.allclose(found.spectrum.numpy(), values)
    assert found.change == pytest.approx(np.linalg.norm(difference))
    assert found.relative == pytest.approx(np.linalg.norm(difference) / np.linalg.norm(old))
    assert found.stable_rank == pytest.approx((values**2).sum() / values[0] ** 2)
    assert 1 - 1e-9 <= found.stable_rank <= found.rank + 1e-9
    assert found.rank == min(shape)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("rank", [0, 1, 4])
def test_the_rank_of_a_merged_adapter_is_found_again(rank, dtype):
    old = (0.03 * drawn(96, 64)).to(dtype)
    step = 0.05 * drawn(96, rank, seed=1) @ drawn(rank, 64, seed=2)
    found = weight_change(old, (old.float() + step).to(dtype))
    assert found.rank == rank
    assert found.spectrum[rank] < found.rounding


def test_weights_that_were_rounded_before_they_were_widened():
    old = (0.03 * drawn(96, 64)).bfloat16().float()
    new = (old + 0.05 * drawn(96, 1, seed=1) @ drawn(1, 64, seed=2)).bfloat16().float()
    assert weight_change(old, new).rank > 1
    assert weight_change(old, new, precision=2**-8).rank == 1


def test_no_change_and_no_old_weights():
    found = weight_change(drawn(4, 3), drawn(4, 3))
    assert (found.change, found.relative, found.rank, found.stable_rank) == (0.0, 0.0, 0, 0.0)
    assert weight_change(torch.zeros(4, 3), drawn(4, 3)).relative is None


def test_a_truncated_change_is_the_nearest_of_its_rank():
    old, new = drawn(7, 5).double(), drawn(7, 5, seed=1).double()
    values = weight_change(old, new).spectrum
    for rank in range(6):
        cut = truncated_change(old, new, rank)
        assert int(torch.linalg.matrix_rank(cut)) == rank
        left_over = (new - old - cut).square().sum()
        assert float(left_over) == pytest.approx(float(values[rank:].square().sum()), abs=1e-9)


@pytest.mark.parametrize("rows", [24, 80])
def test_an_intruder_is_a_loud_direction_that_was_not_there(rows):
    old = drawn(rows, 16)
    loud = torch.nn.functional.normalize(drawn(rows, seed=3), dim=0)[:, None]
    new = old + 40 * loud @ torch.nn.functional.normalize(drawn(1, 16, seed=4), dim=1)
    found = intruder_directions(old, new, top=4)
    left = np.linalg.svd(old.double().numpy())[0][:, :16]
    ours = np.linalg.svd(new.double().numpy())[0][:, :4]
    assert np.allclose(found.similarity.numpy(), np.abs(left.T @ ours).max(0))
    assert int(found.intruders[0]) == 0
    assert found.values[0] > 30


def test_scaled_weights_have_no_intruders():
    old = drawn(9, 6)
    found = intruder_directions(old, 3 * old)
    assert len(found.intruders) == 0
    assert torch.allclose(found.similarity, torch.ones(6, dtype=torch.float64))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: weight_change(drawn(2, 3), drawn(3, 2)), "expected the shape of before"),
        (lambda: weight_change(drawn(3), drawn(3)), r"expected shape \[m n\]"),
        (lambda: weight_change(drawn(2, 2), drawn(2, 2), precision=-1.0), "precision: expected"),
        (lambda: weight_change(drawn(2, 2), drawn(2, 2) / 0), "after: "),
        (lambda: truncated_change(drawn(2, 2), drawn(2, 2), -1), "rank: expected 0 or more"),
        (lambda: intruder_directions(drawn(2, 2), drawn(2, 2), top=0), "top: expected 1 or more"),
        (lambda: intruder_directions(drawn(2, 2), drawn(2, 2), threshold=0.0), "threshold: "),
    ],
)  # fmt: skip
def test_what_is_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()
