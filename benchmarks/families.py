"""What holds for which family: every cell a measured difference or the refusal as it is printed.

Tiny random models (3 blocks of width 32, 97 tokens) of every family are made offline, saved,
loaded by name and put through every capability against an independent computation with plain
transformers, peft or numpy. A difference is relative: the largest deviation over the largest
value. Writes benchmarks/results/families.json and the tables of docs/models.md.

Usage: python -m benchmarks.families [--only "llama;falcon, ALiBi"]

With `--only`, the other rows stay as the file has them.
"""

import argparse
import json
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import torch
from transformers.utils import logging as hf_logging

from benchmarks.capabilities import CAPABILITIES, SHORTER, start
from benchmarks.pages import DOCS, rewrite_block, table
from hyperinterp.errors import HyperinterpError
from hyperinterp.models import HookedModel
from hyperinterp.models.checks import self_check
from hyperinterp.training.card import versions
from tests.hyperinterp.families import FAMILIES, NEWER, REFUSED, VARIANTS, make_refused

RESULTS = Path(__file__).parent / "results" / "families.json"


def row(name: str) -> dict[str, Any]:
    """One family: a figure per capability, or the words of the refusal."""
    cells: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        try:
            bench = start(name, Path(folder))
        except HyperinterpError as error:
            return {"refused": str(error).replace(str(folder), "")}
        for capability in SHORTER if name in NEWER else CAPABILITIES:
            try:
                cells[capability] = CAPABILITIES[capability](bench)
            except HyperinterpError as error:
                cells[capability] = f"refused: {error}"
            except Exception as error:  # shown in the table, and the command fails
                cells[capability] = f"FAILED: {type(error).__name__}: {error}"
        architecture = type(bench.base.hf).__name__
        components = self_check(bench.base).components
    return {"architecture": architecture, "components": components, "cells": cells}


def refusal(name: str) -> dict[str, Any]:
    """What a kind of model that is not supported is told."""
    try:
        self_check(HookedModel(make_refused(name)))
    except HyperinterpError as error:
        return {"refused": str(error)}
    raise AssertionError(f"{name}: expected a refusal, found none")


def shown(value: float | str) -> str:
    """A cell: a difference with one digit, or that it is refused."""
    if isinstance(value, str):
        return value.partition(":")[0]
    return "0" if value == 0 else f"{value:.0e}"


def _matrix(rows: dict[str, Any], names: list[str]) -> str:
    lines = [
        [name, item["components"], *(shown(item["cells"][one]) for one in names)]
        for name, item in rows.items()
    ]
    return table(["family", "components read by", *names], lines)


def _refusals(rows: dict[str, Any]) -> str:
    notes = []
    for name, item in rows.items():
        if "refused" in item:
            notes.append([name, "all", item["refused"]])
            continue
        told = {one: cell for one, cell in item["cells"].items() if isinstance(cell, str)}
        for words in dict.fromkeys(told.values()):
            which = ", ".join(one for one, cell in told.items() if cell == words)
            notes.append([name, which, words.removeprefix("refused: ")])
    return table(["model", "what", "refusal"], notes)


def page(found: dict[str, Any]) -> str:
    """The block of docs/models.md: the matrix, the newer families, and every refusal in full."""
    rows = found["families"]
    works = {name: item for name, item in rows.items() if "refused" not in item}
    newer = {name: item for name, item in works.items() if name in NEWER}
    asked = {name: item for name, item in works.items() if name not in NEWER}
    return (
        f"{_matrix(asked, list(CAPABILITIES))}\n\n### Newer and other families\n\n"
        f"{_matrix(newer, SHORTER)}\n\n### Refusals\n\n{_refusals(rows)}"
    )


def write(found: dict[str, Any]) -> None:
    """The results file, rows in the order of the lists, and the page's block."""
    rows = found["families"]
    order = [*FAMILIES, *VARIANTS, *NEWER, *REFUSED]
    found["families"] = {name: rows[name] for name in order if name in rows}
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    rewrite_block(DOCS / "models.md", "families", page(found))


def main() -> None:
    """Run and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", help="some families, separated by semicolons")
    given = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    hf_logging.set_verbosity_error()
    hf_logging.disable_progress_bar()
    wanted = given.only.split(";") if given.only else [*REFUSED, *FAMILIES, *VARIANTS, *NEWER]
    found: dict[str, Any] = {"versions": versions(), "families": {}}
    if given.only and RESULTS.exists():
        found["families"] = json.loads(RESULTS.read_text(encoding="utf-8"))["families"]
    for name in wanted:
        begin = time.perf_counter()
        found["families"][name] = refusal(name) if name in REFUSED else row(name)
        write(found)
        print(f"{name}: {time.perf_counter() - begin:.0f} s", file=sys.stderr, flush=True)
    if "FAILED" in json.dumps(found):
        sys.exit("families: a capability failed; see the cells that say FAILED")


if __name__ == "__main__":
    main()
