"""Compiled blocks: the same training up to rounding, shared code, and what cannot compile told."""

from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.testing import CompileCounterWithBackend

from hyperinterp.errors import InputRefused
from hyperinterp.training import TrainConfig, train
from hyperinterp.training.compiling import CompiledBlocks, check_compiler

from .factory import letters, losses, tiny

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*"),
]
COMPILE = torch.compile
RECIPE: dict = {
    "rank": 4, "lr": 5e-3, "batch_size": 4, "seq_len": 30, "max_steps": 8, "epochs": 99,
    "target_loss": None, "schedule": "constant",
}  # fmt: skip
SHORT: dict = {"blocks": "last:1", "max_steps": 1, "compile": True}


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> CompileCounterWithBackend:
    """Compile by tracing alone: no C++ compiler is needed."""
    torch._dynamo.reset()
    counter = CompileCounterWithBackend("eager")
    monkeypatch.setattr(torch, "compile", partial(COMPILE, backend=counter))
    return counter


def _held_against_plain(family: str, out: Path, **changes: object) -> None:
    found = [
        train(
            tiny(family), letters(14), out / str(on), TrainConfig(**RECIPE | changes, compile=on)
        ).out
        for on in (False, True)
    ]
    plain, compiled = map(losses, found)
    assert compiled == pytest.approx(plain, abs=1e-5)
    assert plain[-1] < plain[0], "something must be learnt"


@pytest.mark.parametrize(
    ("family", "changes", "most"),
    [
        pytest.param("llama", {"blocks": "last:2"}, 3, id="late"),
        pytest.param(
            "llama", {"method": "full", "lr": 1e-3, "gradient_checkpointing": True}, 2,
            id="full-recomputed", marks=pytest.mark.full,
        ),
        pytest.param("gemma2", {"method": "lora"}, 5, id="two-kinds", marks=pytest.mark.full),
        pytest.param("gpt2", {"blocks": "last:2"}, 3, id="gpt2", marks=pytest.mark.full),
    ],
)  # fmt: skip
def test_compiled_blocks_train_alike_and_share_their_code(
    family: str, changes: dict, most: int, traced: CompileCounterWithBackend, tmp_path: Path
) -> None:
    _held_against_plain(family, tmp_path, **changes)
    assert 1 <= traced.frame_count <= most


@pytest.mark.full
@pytest.mark.parametrize("family", ["llama", "gemma2", "gpt_neox"])
def test_what_a_real_compiler_makes_trains_alike(family: str, tmp_path: Path) -> None:
    torch._dynamo.reset()
    _held_against_plain(family, tmp_path, blocks="last:2")


def test_the_model_is_left_uncompiled(traced: CompileCounterWithBackend, tmp_path: Path) -> None:
    model = tiny("llama")
    train(model, letters(5), tmp_path / "out", TrainConfig(**RECIPE | SHORT))
    assert all("forward" not in vars(block) for block in model.blocks)
    assert traced.frame_count


def test_what_does_not_compile_is_told_before_any_work(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def broken(_graph: object, _inputs: object) -> object:
        raise RuntimeError("no compiler is here")

    torch._dynamo.reset()
    monkeypatch.setattr(torch, "compile", partial(COMPILE, backend=broken))
    with pytest.raises(InputRefused, match=r"^compile: expected that torch compiles a sum, found "):
        check_compiler(torch.device("cpu"))
    with pytest.raises(InputRefused, match=r"no compiler is here.*or leave compile out$"):
        train(tiny("llama"), letters(5), tmp_path / "out", TrainConfig(**RECIPE | SHORT))
    assert not (tmp_path / "out").exists()

    class Doubled(nn.Module):
        def forward(self, stream: Tensor) -> Tensor:
            return 2 * stream

    with pytest.raises(InputRefused, match="expected that torch compiles Doubled"):
        CompiledBlocks().of(Doubled())(torch.ones(3, 2))
