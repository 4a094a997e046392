"""The real pretrained model: a short run, and the cache against ordinary training."""

from pathlib import Path

import pytest

from hyperinterp.models import HookedModel, load
from hyperinterp.text import builtin_passages
from hyperinterp.training import TrainConfig, train

from .factory import losses

pytestmark = pytest.mark.real
RECIPE: dict = {"blocks": "last:5", "rank": 32, "target_loss": None, "epochs": 99}


@pytest.fixture(scope="module")
def smollm2() -> HookedModel:
    return load("smollm2", device="cpu")


def _largest(first: list[float], second: list[float]) -> float:
    return max(abs(a - b) for a, b in zip(first, second, strict=True))


def test_cached_and_ordinary_late_stage_training_agree(
    smollm2: HookedModel, tmp_path: Path
) -> None:
    data = builtin_passages("train").head(4)
    small: dict = {**RECIPE, "batch_size": 2, "seq_len": 24, "max_steps": 6}
    found = [
        train(smollm2, data, tmp_path / str(cache), TrainConfig(**small, prefix_cache=cache)).out
        for cache in (True, False)
    ]
    cached, plain = map(losses, found)
    assert len(cached) == 6
    assert _largest(cached, plain) < 1e-3
    assert cached[-1] < cached[0]


@pytest.mark.full
def test_fifty_steps_of_the_real_job_agree(smollm2: HookedModel, tmp_path: Path) -> None:
    data = builtin_passages("train").head(32)
    found = [
        train(
            smollm2, data, tmp_path / str(cache),
            TrainConfig(**RECIPE, max_steps=50, prefix_cache=cache),
        ).out
        for cache in (True, False)
    ]  # fmt: skip
    cached, plain = map(losses, found)
    assert len(cached) == 50
    assert _largest(cached, plain) < 1e-3


@pytest.mark.full
@pytest.mark.parametrize("method", ["late-stage", "full"])
def test_the_target_loss_is_reached_on_the_real_model(
    method: str, smollm2: HookedModel, tmp_path: Path
) -> None:
    data = builtin_passages("train").head(32)
    result = train(smollm2, data, tmp_path / "out", TrainConfig(method=method))
    assert result.stop == "target loss"
    assert result.loss is not None
    assert result.loss < 0.05
