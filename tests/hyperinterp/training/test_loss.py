import pytest
import torch
from torch.nn.functional import cross_entropy

from hyperinterp.training import loss as loss_module
from hyperinterp.training.loss import ReadoutLoss

from .factory import VOCAB, WIDTH, tiny


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loss_module, "CHUNK", 7)  # 20 rows: two whole chunks and a rest


def _inputs() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    hidden = 3 * torch.randn(20, WIDTH, generator=generator)
    return hidden.requires_grad_(), torch.randint(0, VOCAB, (20,), generator=generator)


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma2", "opt", "gpt_neox"])
def test_loss_and_gradient_are_those_of_plain_cross_entropy(family: str) -> None:
    model = tiny(family)
    model.hf.requires_grad_(False)
    hidden, targets = _inputs()
    reference = hidden.detach().clone().requires_grad_()
    expected = cross_entropy(model.readout(reference), targets, reduction="sum")
    expected.backward()
    found = ReadoutLoss(model)(hidden, targets)
    (0.25 * found).backward()
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(hidden.grad, 0.25 * reference.grad)


def test_only_a_plain_product_takes_the_fused_path() -> None:
    assert ReadoutLoss(tiny("llama")).plain
    assert not ReadoutLoss(tiny("gemma2")).plain, "the soft cap must not be lost"


@pytest.mark.parametrize("family", ["llama", "gemma2"])
def test_a_training_unembedding_gets_its_gradient(family: str) -> None:
    model = tiny(family)
    weight = model.hf.get_output_embeddings().weight
    hidden, targets = _inputs()
    cross_entropy(model.readout(hidden), targets, reduction="sum").backward()
    expected, weight.grad, hidden.grad = weight.grad, None, None
    ReadoutLoss(model)(hidden, targets).backward()
    torch.testing.assert_close(weight.grad, expected)


def test_a_frozen_unembedding_gets_none() -> None:
    model = tiny("llama")
    model.hf.requires_grad_(False)
    hidden, targets = _inputs()
    ReadoutLoss(model)(hidden, targets).backward()
    assert model.hf.get_output_embeddings().weight.grad is None


def test_bf16_products_stay_near_float32() -> None:
    model = tiny("llama")
    model.hf.requires_grad_(False)
    hidden, targets = _inputs()
    exact = ReadoutLoss(model)(hidden, targets)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = ReadoutLoss(model)(hidden, targets)
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(exact.item(), rel=5e-3)
    assert found.item() != exact.item()


def test_no_gradient_mode_gives_the_same_sum() -> None:
    model = tiny("gemma2")
    model.hf.requires_grad_(False)
    hidden, targets = _inputs()
    with torch.no_grad():
        quiet = ReadoutLoss(model)(hidden, targets)
    torch.testing.assert_close(quiet, ReadoutLoss(model)(hidden, targets).detach())
