"""The rate that is halved where the loss wanders, beside torch's own."""

import random

import pytest
import torch
from torch.optim.lr_scheduler import ReduceLROnPlateau

from hyperinterp.training import TrainConfig, train
from hyperinterp.training.plateau import FACTOR, LEAST_FALL, PATIENCE, Plateau

from .factory import letters, log_lines, sha256, tiny

RECIPE = {
    "blocks": "last:2", "rank": 4, "batch_size": 8, "seq_len": 30, "epochs": 4, "target_loss": None,
}  # fmt: skip


def optimizer() -> torch.optim.SGD:
    groups = [{"params": [torch.nn.Parameter(torch.zeros(2))], "lr": lr} for lr in (0.3, 0.02)]
    return torch.optim.SGD(groups)


def rates(found: torch.optim.SGD) -> list[float]:
    return [group["lr"] for group in found.param_groups]


@pytest.mark.parametrize("seed", range(20))
def test_it_is_torchs_plateau_with_a_warmup(seed: int) -> None:
    draw = random.Random(seed)
    ours, theirs, steps = optimizer(), optimizer(), draw.randrange(1, 4)
    schedule = Plateau(ours, 0)
    oracle = ReduceLROnPlateau(
        theirs, factor=FACTOR, patience=PATIENCE - 1, threshold=LEAST_FALL, eps=0
    )
    loss = 4.0
    for _ in range(40):
        for _ in range(steps):
            ours.step()
            schedule.step()
        loss *= draw.choice((0.7, 0.98, 0.995, 1.0, 1.3))
        schedule.see(loss)
        oracle.step(loss)
        assert rates(ours) == pytest.approx(rates(theirs), rel=1e-12)
        assert schedule.get_last_lr() == rates(ours)
    assert rates(ours)[0] < 0.3


def test_the_warmup_is_linear_and_halving_stays_after_it() -> None:
    ours = optimizer()
    schedule = Plateau(ours, 4)
    seen = []
    for _ in range(6):
        seen.append(rates(ours)[0])
        ours.step()
        schedule.step()
    assert seen == pytest.approx([0.0, 0.075, 0.15, 0.225, 0.3, 0.3])
    for loss in (1.0, 1.0, 1.0, 0.995):
        schedule.see(loss)
    ours.step()
    schedule.step()
    assert rates(ours) == pytest.approx([0.15, 0.01])


def test_where_the_loss_falls_it_is_the_constant_schedule_to_the_bit(tmp_path) -> None:
    made = {}
    for name in ("plateau", "constant"):
        config = TrainConfig(**RECIPE, lr=5e-3, schedule=name)
        made[name] = train(tiny("llama"), letters(14), tmp_path / name, config).out
    losses = [line["loss"] for line in log_lines(made["plateau"], "epoch")]
    assert losses == sorted(losses, reverse=True)
    assert sha256(made["plateau"]) == sha256(made["constant"])
    assert TrainConfig().schedule == "plateau"


def test_where_it_wanders_the_rate_falls(tmp_path) -> None:
    config = TrainConfig(**{**RECIPE, "epochs": 16}, lr=0.3)
    out = train(tiny("llama"), letters(14), tmp_path / "out", config).out
    losses = [line["loss"] for line in log_lines(out, "epoch")]
    found = [line["lr"] for line in log_lines(out, "step")]
    assert len(losses) == 16
    assert found == sorted(found, reverse=True)
    assert found[-1] < found[0] == 0.3
    assert {round(0.3 / rate, 6) for rate in found} <= {1.0, 2.0, 4.0, 8.0}
