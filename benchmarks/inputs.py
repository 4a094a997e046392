"""What becomes of each kind of input: every cell was run, or is the refusal as it is printed.

Tiny models are made offline as people and their tools leave them. Each is loaded, its logits are
held against plain transformers or peft (or, for older files, against the logits that the older
version computed), and it is compared with its base to the end. Writes
benchmarks/results/inputs.json and the tables of docs/inputs.md.

Usage: python -m benchmarks.inputs [--only "words of a name"]
"""

import argparse
import json
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from transformers.utils import logging as hf_logging

import hyperinterp as hi
from benchmarks.input_rows import GROUPS, Bench, Case, Make
from benchmarks.pages import DOCS, rewrite_block, table
from benchmarks.record import write
from hyperinterp.errors import HyperinterpError
from hyperinterp.sizes import Sizes

RESULTS = Path(__file__).parent / "results" / "inputs.json"
SMALL = Sizes(
    prompts=8, prompt_tokens=4, new_tokens=8, window=8, context_tokens=24, contexts_per_prompt=4,
    order_contexts=8, lens_contexts=4, components=False, variants=(), control_prompts=2, seeds=1,
    sweep=(), alphas=(1.0,), bias_steps=0, patch_prompts=2, null_draws=1, null_blocks=1,
    stitched=1,
)  # fmt: skip
CLAIMS = "C1,C4,C5,C6"


def one_line(error: BaseException, folder: Path) -> str:
    """The refusal as printed, without the folder of this run."""
    return " ".join(str(error).split()).replace(f"{folder}/", "").replace(str(folder), "")


def cell(run: Callable[[], str], folder: Path) -> str:
    """What a step gave, or why it was refused, or how it failed."""
    try:
        return run()
    except HyperinterpError as error:
        return f"refused: {one_line(error, folder)}"
    except Exception as error:  # shown in the table, and the command fails
        return f"FAILED: {type(error).__name__}: {one_line(error, folder)}"


def measured(case: Case) -> str:
    """Largest deviation of the logits, as a share of the largest one."""
    if case.wanted is None:
        return "-"
    found = case.logits()
    error = float((found - case.wanted).abs().max() / case.wanted.abs().max())
    return "equal" if error == 0 else f"{error:.0e}"


def compared(case: Case) -> str:
    """How many claims were judged, of those that were asked for."""
    report = hi.compare(
        case.base, case.fitted, claims=CLAIMS, sizes=SMALL, device="cpu", **case.options
    )
    judged = [claim for claim in report.claims.values() if claim.conditions]
    return f"{len(judged)} claims judged"


def row(make: Make) -> dict[str, str]:
    """One input through loading, logits and comparison."""
    with tempfile.TemporaryDirectory() as where:
        folder = Path(where)
        with Bench(folder) as bench:
            case = make(bench)
            logits = cell(lambda: measured(case), folder)
            if logits.startswith(("refused", "FAILED")):
                return {"logits": logits, "compare": "-"}
            return {"logits": logits, "compare": cell(lambda: compared(case), folder)}


def pages(found: dict[str, dict[str, dict[str, str]]]) -> None:
    """Write every group's table into docs/inputs.md."""
    for group, rows in found.items():
        lines = [[name, cells["logits"], cells["compare"]] for name, cells in rows.items()]
        text = table(["input", "logits against plain", "compared"], lines)
        rewrite_block(DOCS / "inputs.md", group, text)


def main(arguments: list[str]) -> int:
    """Run all rows, or some; 1 where a row failed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="", help="groups or inputs whose name holds this")
    asked = parser.parse_args(arguments)
    hf_logging.set_verbosity_error()
    hf_logging.disable_progress_bar()
    torch.set_num_threads(1)
    found = json.loads(RESULTS.read_text())["rows"] if asked.only else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for group, rows in GROUPS.items():
            for name, make in rows.items():
                if asked.only in f"{group}: {name}":
                    found.setdefault(group, {})[name] = row(make)
                    print(group, name, found[group][name], flush=True)
    write("inputs", {"claims": CLAIMS, "rows": found}, threads=1)
    pages(found)
    failed = [cells for rows in found.values() for cells in rows.values() if "FAILED" in str(cells)]
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
