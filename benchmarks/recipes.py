"""How the default recipes come to their target loss: methods, seeds and two model families.

Full, LoRA and late-stage training with every default but the batch (two passages), each under three
seeds, on 8 built-in passages; late-stage once more with a constant learning rate beside the default
schedule. A run that is over is kept in the folder and not done again; shares of the runs go side by
side. `--gather` writes what is there to benchmarks/results/recipes.json and prints a table.

Usage (from the project's root):
    python -m benchmarks.recipes [--folder DIR] [--models smollm2 gemma3-270m] [--threads 2]
                                 [--cell 1/2] [--gather]
"""

import argparse
import json
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import torch

import hyperinterp as hi
from benchmarks import pages, record
from hyperinterp.checkpoints import write_file
from hyperinterp.models import HookedModel
from hyperinterp.studies.cells import Share
from hyperinterp.training.config import METHODS

MODELS = ("smollm2", "gemma3-270m")
SEEDS = (0, 1, 2)
PASSAGES = 8
BATCH = 2
DEFAULT = hi.TrainConfig().schedule
OTHER = "constant"


@dataclass(frozen=True)
class Run:
    """One run: a model, a recipe that is the default but for its schedule, and a seed."""

    model: str
    method: str
    schedule: str
    seed: int

    @property
    def name(self) -> str:
        """A name for its files."""
        return f"{self.model}-{self.method}-{self.schedule}-seed{self.seed}"

    @property
    def recipe(self) -> hi.TrainConfig:
        """The settings."""
        return hi.TrainConfig(
            method=self.method, schedule=self.schedule, seed=self.seed, batch_size=BATCH
        )


def planned(models: Sequence[str] = MODELS) -> tuple[Run, ...]:
    """Every run: the default schedule, cheap ones first; then late-stage at a constant rate."""
    cheap_first = product(models, reversed(METHODS), SEEDS)
    mine = [Run(model, how, DEFAULT, seed) for model, how, seed in cheap_first]
    return (*mine, *(Run(model, "late-stage", OTHER, SEEDS[0]) for model in models))


def done(run: Run, model: HookedModel, folder: Path) -> dict[str, Any]:
    """Train and tell how it went; of the weights nothing is kept."""
    out = folder / run.name
    begun = out.with_name(f"{out.name}.run").exists()
    data = hi.builtin_passages("train").head(PASSAGES)
    found = hi.train(model, data, out, run.recipe, resume=begun or out.exists())
    lines = [json.loads(line) for line in found.log.read_text().splitlines()]
    rates = [line["lr"] for line in lines if line["event"] == "step"]
    facts = {
        **{name: getattr(run, name) for name in ("model", "method", "schedule", "seed")},
        **{name: getattr(found, name) for name in ("stop", "epochs", "loss", "steps", "tokens")},
        "least_loss": min(line["loss"] for line in lines if line["event"] == "epoch"),
        "rates": [rates[0], rates[-1]],
        "losses": [round(line["loss"], 4) for line in lines if line["event"] == "epoch"],
    }
    shutil.rmtree(out)
    return facts


def gathered(folder: Path) -> list[dict[str, Any]]:
    """What is told of the runs that are over, in their order."""
    paths = [folder / f"{run.name}.json" for run in planned()]
    return [json.loads(path.read_text()) for path in paths if path.is_file()]


def table(found: Sequence[dict[str, Any]]) -> str:
    """A row per model and recipe: epochs and loss of every seed, then of the constant rate."""
    rows: list[list[str]] = []
    for model, method in product(MODELS, METHODS):
        mine = [it for it in found if (it["model"], it["method"]) == (model, method)]
        if not mine:
            continue
        cells = [
            "; ".join(_shown(it) for it in mine if it["schedule"] == schedule) or "-"
            for schedule in (DEFAULT, OTHER)
        ]
        rows.append([model, method, *cells])
    seeds = ", ".join(map(str, SEEDS))
    head = ["model", "method", f"{DEFAULT}, seeds {seeds}", f"{OTHER}, seed {SEEDS[0]}"]
    return pages.table(head, rows)


def _shown(run: dict[str, Any]) -> str:
    first, last = run["rates"]
    halved = "" if first == last else f", rate / {first / last:.0f}"
    missed = "" if run["stop"] == "target loss" else "**not reached** "
    return f"{missed}{run['loss']:.3f} ({run['epochs']} epochs{halved})"


def main() -> None:
    """Train, gather, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("runs/recipes"))
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--cell", metavar="I/N", help="one share of the runs")
    parser.add_argument("--gather", action="store_true", help="write what is there; train nothing")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    given.folder.mkdir(parents=True, exist_ok=True)
    share = None if given.cell is None else Share.read(given.cell)
    models: dict[str, HookedModel] = {}
    for index, run in enumerate(() if given.gather else planned(given.models)):
        path = given.folder / f"{run.name}.json"
        if path.is_file() or not (share is None or share.takes(index)):
            continue
        if run.model not in models:
            models = {run.model: hi.load(run.model)}
        facts = done(run, models[run.model], given.folder)
        write_file(path, json.dumps(facts).encode())
        print(time.strftime("%H:%M:%S"), run.name, _shown(facts), file=sys.stderr, flush=True)
    if share is not None:
        return
    found = gathered(given.folder)
    print(
        record.write(
            "recipes", {"passages": PASSAGES, "batch": BATCH, "runs": found}, given.threads
        )
    )
    print(table(found))


if __name__ == "__main__":
    main()
