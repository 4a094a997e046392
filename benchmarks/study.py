"""The whole experiment on a real model: placements, methods and seeds, judged as recipes.

LoRA in the last, first, middle and random five blocks and in all of them, full fine-tuning, and the
first recipe on passages of shuffled words, each under three seeds with its control; 8 built-in
passages in batches of two, at most 28 epochs, the quick preset with 16 prompts. It takes some nine
hours of one core: the same command goes on where it stopped, shares of it run side by side, and
`--gather` writes what is there so far, to benchmarks/results/study.json, docs/how-to/study.md and
the README. Seeds that are over are kept in benchmarks/results/study, and not done again.

Usage (from the project's root):
    python -m benchmarks.study [--folder DIR] [--threads 2] [--cell 1/2] [--gather]
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

import hyperinterp as hi
from benchmarks import pages, record, study_seeds
from hyperinterp.checkpoints import write_file
from hyperinterp.claims.spec import Verdict
from hyperinterp.text import builtin_passages

MODEL = "smollm2"
PAGE = pages.DOCS / "how-to" / "study.md"
CONFIG = hi.StudyConfig(
    methods=("lora",),
    blocks=("last:5", "first:5", "middle:5", "random:5"),
    whole=("lora", "full"),
    seeds=(0, 1, 2),
    passages=8,
    train={"epochs": 28, "batch_size": 2},
    compare="quick",
    sizes={"prompts": 16},
)
HELDOUT = 4
"""So many of the last built-in training passages choose the controls, after every epoch."""
FACTS = (
    "name", "recipe", "seed", "state", "reason", "blocks", "trainable", "epochs", "train_loss",
    "heldout_loss", "stop",
)  # fmt: skip
ENOUGH = 3
"""Seeds below which nothing is said about a recipe."""
NOTHING = "1000/1000"
"""A share that has no cell: what other commands have done is gathered."""
SHORT = {
    Verdict.SUPPORTED: "**yes**",
    Verdict.NOT_SUPPORTED: "no",
    Verdict.INCONCLUSIVE: "open",
    Verdict.NOT_TESTED: "-",
    Verdict.FAILED: "failed",
}


def told(task: str, done: int, total: int) -> None:
    """One line per finished task on stderr."""
    if done == total:
        print(time.strftime("%H:%M:%S"), task, file=sys.stderr, flush=True)


def heldout(folder: Path) -> Path:
    """Write the passages that choose the controls beside a study's folder."""
    path = folder.with_name(f"{folder.name}-heldout.jsonl")
    texts = list(builtin_passages("train").texts)[-HELDOUT:]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, "".join(json.dumps({"text": it}) + "\n" for it in texts).encode(), force=True)
    return path


def short(study: hi.StudyReport) -> dict[str, Any]:
    """Verdicts about the recipes and the training of the cells, without the figures by prompt."""
    return {
        "recipes": {
            recipe.name: {
                "words": recipe.words,
                "seeds": recipe.seeds,
                "claims": {
                    name: {
                        "verdict": str(claim.verdict),
                        "effect": claim.effect,
                        "interval": claim.interval,
                        "why": claim.why,
                        "tested_in": recipe.tested_in.get(name, ()),
                    }
                    for name, claim in recipe.claims.items()
                },
            }
            for recipe in study.recipes
        },
        "cells": [
            {
                **{name: getattr(cell, name) for name in FACTS},
                "claims": {name: asdict(claim) for name, claim in cell.claims.items()},
            }
            for cell in study.cells
        ],
    }


def shown(claim: dict[str, Any]) -> str:
    """A verdict in a word, with its effect and interval."""
    text = SHORT[Verdict(claim["verdict"])]
    if claim["effect"] is not None:
        text += f" {claim['effect']:.2f}"
    if claim["interval"]:
        text += f" [{claim['interval'][0]:.2f}, {claim['interval'][1]:.2f}]"
    return text


def judged(found: dict[str, Any], recipe: str, claim: str, *, interval: bool) -> str:
    """The verdict about a recipe; below three seeds those about its cells, seed by seed."""
    row = found["recipes"][recipe]
    if len(row["seeds"]) >= ENOUGH:
        return shown(row["claims"][claim] | ({} if interval else {"interval": None}))
    cells = [it for it in found["cells"] if it["recipe"] == recipe and it["claims"]]
    each = [shown(_of_cell(it["claims"][claim], interval)) for it in cells]
    return "-" if set(each) <= {"-"} else " / ".join(each)


def _of_cell(claim: dict[str, Any], interval: bool) -> dict[str, Any]:
    effect = claim["effect"]
    ends = (effect["lo"], effect["hi"]) if interval and effect["lo"] is not None else None
    return {"verdict": claim["verdict"], "effect": effect["value"], "interval": ends}


def table(found: dict[str, Any], *, interval: bool = True) -> str:
    """Claims as rows, recipes as columns."""
    recipes = found["recipes"]
    head = ["", *(f"{it['words']} ({_seeds(it['seeds'])})" for it in recipes.values())]
    names = list(next(iter(recipes.values()))["claims"])
    rows = [
        [name, *(judged(found, recipe, name, interval=interval) for recipe in recipes)]
        for name in names
    ]
    return pages.table(head, rows)


def _seeds(seeds: Sequence[int]) -> str:
    return f"{len(seeds)} seed{'' if len(seeds) == 1 else 's'}"


def training_table(found: dict[str, Any]) -> str:
    """How the cells were trained."""
    keys = ("name", "blocks", "trainable", "epochs", "train_loss", "heldout_loss", "stop")
    head = ["cell", "blocks", "trained parameters", "epochs", "loss", "validation loss", "stop"]
    trained = [cell for cell in found["cells"] if cell["trainable"] is not None]
    rows = [[_cell(cell[key]) for key in keys] for cell in trained]
    return pages.table(head, rows)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def main() -> None:
    """Train, compare, gather, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("runs/study"))
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--cell", metavar="I/N", help="one share of the cells")
    parser.add_argument("--gather", action="store_true", help="write what is there; train nothing")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    cell = NOTHING if given.gather else given.cell
    config = replace(CONFIG, heldout=str(heldout(given.folder)))
    study_seeds.restore(given.folder)
    study = hi.study(MODEL, given.folder, config, cell=cell, progress=told)
    if given.cell is not None:
        return
    names = {seed: [it.name for it in study.cells if it.seed == seed] for seed in CONFIG.seeds}
    study_seeds.keep(given.folder, names)
    found = {"model": MODEL, "config": CONFIG.as_json(), "heldout": HELDOUT, **short(study)}
    record.write("study", found, given.threads)
    pages.rewrite_block(PAGE, "study", f"{table(found)}\n\n{training_table(found)}")
    pages.rewrite_block(pages.README, "study", table(found, interval=False))


if __name__ == "__main__":
    main()
