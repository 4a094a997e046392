"""Context-free changes of logits: a scale and shift by numpy, a bias by L-BFGS."""

import numpy as np
import pytest
import torch

from probes import (
    BiasLoss,
    ScaleShiftAccumulator,
    centred_shift,
    fitted_bias,
    kl_divergence,
    scale_and_shift,
)


def rows(n=24, v=30, seed=0, scale=2.0):
    return scale * torch.randn(n, v, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def pair():
    """Fitted logits that are a scaled copy with a bias and noise of their own."""
    base = rows()
    return base, 1.4 * base + rows(1, seed=1) + rows(seed=2, scale=0.5)


def test_a_constant_on_all_logits_is_no_shift():
    base = rows(5)
    moved = base + torch.arange(5.0)[:, None]
    torch.testing.assert_close(
        centred_shift(base, moved), torch.zeros(5, 30).double(), atol=1e-6, rtol=0
    )


def test_scale_and_shift_are_the_least_squares_of_numpy(pair):
    base, fitted = (x.double() - x.double().mean(-1, keepdim=True) for x in pair)
    n, v = base.shape
    one_hot = np.tile(np.eye(v), (n, 1))
    design = np.column_stack([base.reshape(-1).numpy(), one_hot])
    wanted, *_ = np.linalg.lstsq(design, fitted.reshape(-1).numpy(), rcond=None)
    scale, shift = scale_and_shift(*pair)
    assert scale == pytest.approx(wanted[0])
    np.testing.assert_allclose(shift.numpy(), wanted[1:], atol=1e-10)


def test_chunks_add_up_to_the_whole(pair):
    base, fitted = pair
    chunks = [ScaleShiftAccumulator.of(base[i : i + 5], fitted[i : i + 5]) for i in range(0, 24, 5)]
    scale, shift = ScaleShiftAccumulator.joined(chunks).result()
    wanted = scale_and_shift(base, fitted)
    assert scale == pytest.approx(wanted.scale)
    torch.testing.assert_close(shift, wanted.shift)


@pytest.mark.parametrize(("factor", "scale"), [(-1.0, 0.0), (0.0, 1.0)])
def test_a_scale_is_never_below_zero_and_one_where_the_base_says_nothing(factor, scale):
    base = rows() if factor else torch.zeros(24, 30)
    assert scale_and_shift(base, factor * base).scale == scale


def test_the_loss_is_the_mean_divergence_and_its_gradient_the_wanted_less_the_predicted(pair):
    base, fitted = (x.double() for x in pair)
    bias = rows(1, seed=3)[0].double()
    loss, predicted = BiasLoss.of([(base[:7], fitted[:7]), (base[7:], fitted[7:])]).at(bias)
    assert loss == pytest.approx(float(kl_divergence(fitted, base + bias).mean()))
    torch.testing.assert_close(predicted, (base + bias).softmax(-1).mean(0))


def test_fitted_bias_reaches_the_minimum_that_lbfgs_finds(pair):
    base, fitted = pair
    bias = torch.zeros(30, dtype=torch.float64, requires_grad=True)
    search = torch.optim.LBFGS([bias], max_iter=400, line_search_fn="strong_wolfe")
    log_p = fitted.double().log_softmax(-1)

    def closure():
        search.zero_grad()
        log_q = (base.double() + bias).log_softmax(-1)
        value = (log_p.exp() * (log_p - log_q)).sum(-1).mean()
        value.backward()
        return value

    search.step(closure)
    loss = BiasLoss.of([(base, fitted)])
    found = fitted_bias(loss, loss, centred_shift(base, fitted).mean(0), 300)
    assert min(found.losses) == pytest.approx(closure().item(), abs=2e-3)
    assert min(found.losses) < found.losses[0]
    assert found.held_losses == ()


def test_wrong_input_is_named():
    with pytest.raises(ValueError, match="chunks: expected at least one, found none"):
        BiasLoss.of([])
    with pytest.raises(ValueError, match="fitted: expected the shape of base"):
        centred_shift(rows(), rows(3))
    with pytest.raises(ValueError, match=r"base: expected shape \[n v\], found \[30\]"):
        scale_and_shift(rows()[0], rows()[0])
