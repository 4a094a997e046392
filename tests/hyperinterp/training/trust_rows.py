"""The rows of the trust table on training, as functions that return what they measured."""

import json
import os
import random
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch

from hyperinterp.errors import HyperinterpError, NumericalFault
from hyperinterp.training import Progress, TrainConfig, run_directory, train
from hyperinterp.training.loss import ReadoutLoss
from hyperinterp.training.resume import newest_point
from hyperinterp.training.trainer import HyperfitTrainer
from tests.cli_rows import run_jobs
from tests.hyperinterp.training.factory import letters, saved_tiny, sha256, tiny

ROOT = Path(__file__).parents[3]
RECIPE: dict[str, Any] = {
    "blocks": "last:2", "rank": 4, "batch_size": 4, "seq_len": 30, "epochs": 4, "target_loss": None,
    "resume_every": 0.0, "lr": 5e-3,
}  # fmt: skip
STEPS = 16  # of that recipe on 14 passages
METHODS: dict[str, dict[str, Any]] = {
    "late-stage": {},
    "lora": {"method": "lora"},
    "full": {"method": "full", "lr": 1e-3},
}
PLACES = {
    "loss": "loss",
    "gradient": "gradient of",
    "weights": "layers",
    "weights at the end": "layers",
}
NAN_KINDS = tuple(PLACES)


def kill_row(folder: Path, *, kills: int, in_saves: int, seed: int) -> dict[str, Any]:
    """Kill trainings in real processes and resume them; digests of the final weights."""
    base = saved_tiny("llama", folder)

    def job(place: str, *counts: int) -> dict[str, Any]:
        given = [str(base), str(folder / place), *map(str, counts)]
        return {"script": str(Path(__file__).with_name("killer.py")), "argv": given}

    done = run_jobs([job("runs", kills, in_saves, seed), job("whole", 0, 0, 0)], folder)
    assert not any(result["code"] for result in done), done
    report, whole = (json.loads(result["stdout"].splitlines()[-1]) for result in done)
    (reference,) = whole["finished"]
    digests = [sha256(Path(out)) for out in report["finished"]]
    return {
        "kills": report["kills"],
        "kills_in_a_save": report["in_saves"],
        "resumed_from_a_point": sum(step > 0 for step in report["resumed_from"]),
        "finished_runs": len(digests),
        "same_sha256_as_undisturbed": digests.count(sha256(Path(reference))),
    }


@contextmanager
def poisoned(kind: str, at: int, value: float) -> Iterator[None]:
    """Spoil the `at`-th step: its loss, one gradient, or one weight right after the step."""
    if kind == "loss":
        honest, calls = ReadoutLoss.__call__, [0]

        def call(self: ReadoutLoss, hidden: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
            calls[0] += 1
            found = honest(self, hidden, targets)
            return found * value if calls[0] == at else found

        with mock.patch.object(ReadoutLoss, "__call__", call):
            yield
        return
    checked, steps = HyperfitTrainer._checked_norm, [0]

    def norm(self: HyperfitTrainer, model: torch.nn.Module) -> float:
        steps[0] += 1
        trained = [p for p in model.parameters() if p.grad is not None]
        if kind == "gradient" and steps[0] == at:
            grad = trained[at % len(trained)].grad
            assert grad is not None
            grad.view(-1)[0] = value
        found = checked(self, model)
        if kind != "gradient" and steps[0] == at:
            _spoil_after(self.optimizer, trained[at % len(trained)], value)
        return found

    with mock.patch.object(HyperfitTrainer, "_checked_norm", norm):
        yield


def _spoil_after(optimizer: Any, parameter: torch.nn.Parameter, value: float) -> None:
    def spoil(*_: Any) -> None:
        handle.remove()
        with torch.no_grad():
            parameter.view(-1)[0] = value

    inner = getattr(optimizer, "optimizer", optimizer)
    handle = inner.register_step_post_hook(spoil)


def nan_rows(folder: Path, *, trials: int, seed: int) -> list[dict[str, Any]]:
    """Put NaN or infinity into a random step of a training; what was said, and what was saved."""
    draw, rows = random.Random(seed), []
    for trial in range(trials):
        kind = NAN_KINDS[trial % len(NAN_KINDS)]
        at = STEPS if kind == "weights at the end" else draw.randint(1, STEPS - 1)
        value = draw.choice([float("nan"), float("inf"), -float("inf")])
        method = draw.choice(sorted(METHODS))
        out = folder / f"nan-{trial}"
        config = TrainConfig(**{**RECIPE, **METHODS[method]})
        row = {"kind": kind, "step": at, "value": str(value), "method": method}
        try:
            with poisoned(kind, at, value):
                train(tiny("llama"), letters(14), out, config)
            row |= {"stopped": False, "line": "trained to the end"}
        except NumericalFault as error:
            row |= {"stopped": True, "line": str(error)}
        except HyperinterpError as error:
            row |= {"stopped": False, "line": repr(error)}
        point = newest_point(run_directory(out))
        rows.append(
            row
            | {
                "names_the_place": PLACES[kind] in row["line"],
                "names_the_step": f"step {at}" in row["line"] or kind == "weights at the end",
                "saved": out.exists() or (point is not None and point.step >= at),
            }
        )
    return rows


def seed_rows(folder: Path) -> list[dict[str, Any]]:
    """Train twice with one seed and once with another, whatever the global generators did."""
    rows = []
    for method, changes in METHODS.items():
        digests = []
        for number, seed in enumerate([0, 0, 1]):
            torch.manual_seed(number)
            np.random.seed(number)  # noqa: NPY002
            config = TrainConfig(**{**RECIPE, **changes, "seed": seed})
            out = folder / f"{method}-{number}"
            digests.append(sha256(train(tiny("llama"), letters(14), out, config).out))
        rows.append(
            {
                "method": method,
                "same": digests[0] == digests[1],
                "other_seed_differs": digests[0] != digests[2],
            }
        )
    return rows


def full_disk_row(folder: Path, *, at: int = 6) -> dict[str, Any]:
    """From step `at` on the kernel lets no file of this process grow; then resume without limit."""
    config = TrainConfig(**RECIPE)
    whole = train(tiny("llama"), letters(14), folder / "whole", config)
    out = folder / "out"

    def fill(found: Progress) -> None:
        if found.phase == "train" and found.step == at:
            resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, resource.RLIM_INFINITY))

    def cramped() -> None:
        try:
            train(tiny("llama"), letters(14), out, config, on_progress=fill)
            found: Any = "trained to the end"
        except HyperinterpError as error:
            found = [type(error).__name__, error.exit_code]
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        (folder / "said.json").write_text(json.dumps(found))

    in_a_fork(cramped)
    point = newest_point(run_directory(out))
    row = {
        "said": json.loads((folder / "said.json").read_text()),
        "point": None if point is None else point.step,
        "published": out.exists(),
    }
    again = train(tiny("llama"), letters(14), out, config, resume=True)
    return {**row, "same_after_resuming": sha256(again.out) == sha256(whole.out)}


def in_a_fork(job: Callable[[], None]) -> None:
    """Run a job in a forked process, so that its limits stay there."""
    child = os.fork()
    if child == 0:
        try:
            job()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
