"""One comparison in several dtypes: are the verdicts the same, and how far do the figures move?

Each dtype loads both checkpoints anew (an adapter is merged in that dtype) and runs
`hyperinterp.compare` with the same seed, prompts and sizes. Writes benchmarks/results/dtypes.json
and the table of docs/models.md.

Usage: python -m benchmarks.dtypes [BASE FITTED] [--dtypes float32,bfloat16]
       [--claims C1,C4,C5,C6] [--preset quick] [--prompts FILE] [--out FILE]
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import torch

import hyperinterp
from benchmarks.pages import DOCS, rewrite_block, table
from hyperinterp.errors import HyperinterpError
from hyperinterp.report.schema import Report

RESULTS = Path(__file__).parent / "results" / "dtypes.json"
TWIN = Path("demo") / "late-stage"


def claim_figures(report: Report) -> dict[str, Any]:
    """Verdict and every condition's figure of the claims that were tested."""
    return {
        name: {
            "verdict": str(claim.verdict),
            "conditions": [
                {
                    "words": item.words,
                    "threshold": item.threshold,
                    "value": item.measured.value,
                    "lo": item.measured.lo,
                    "hi": item.measured.hi,
                    "outcome": str(item.outcome),
                }
                for item in claim.conditions
            ],
        }
        for name, claim in report.claims.items()
        if claim.conditions
    }


def measure(given: argparse.Namespace, dtype: str) -> dict[str, Any]:
    """One comparison in one dtype."""
    start = time.perf_counter()
    report = hyperinterp.compare(
        given.base,
        given.fitted,
        prompts=hyperinterp.read_prompts(given.prompts) if given.prompts else None,
        claims=given.claims,
        preset=given.preset,
        seed=given.seed,
        dtype=dtype,
        device=given.device,
    )
    facts = report.provenance
    return {
        "claims": claim_figures(report),
        "sizes": {name: facts.sizes[name] for name in ("context_tokens", "new_tokens")},
        "prompts": facts.prompts.used,
        "device": facts.device,
        "seconds": round(time.perf_counter() - start, 1),
        "checkpoints": {
            item.role: [Path(item.name).name, item.fingerprint] for item in facts.checkpoints
        },
        "versions": facts.versions,
    }


def moves(runs: dict[str, Any]) -> list[dict[str, Any]]:
    """Every condition's move from the first dtype to each other one.

    `widths` is the move as a share of the half-width of the first dtype's interval: below 1 the
    figure stays inside the interval that it is reported with.
    """
    first, *others = runs
    found = []
    for dtype in others:
        for claim, ours in runs[first]["claims"].items():
            theirs = runs[dtype]["claims"][claim]
            for a, b in zip(ours["conditions"], theirs["conditions"], strict=True):
                known = None not in (a["value"], b["value"])
                move = b["value"] - a["value"] if known else None
                half = (a["hi"] - a["lo"]) / 2 if None not in (a["lo"], a["hi"]) else 0.0
                found.append(
                    {
                        "claim": claim,
                        "figure": a["words"],
                        "from": first,
                        "to": dtype,
                        "before": a["value"],
                        "after": b["value"],
                        "move": move,
                        "widths": abs(move) / half if move is not None and half else None,
                        "same_outcome": a["outcome"] == b["outcome"],
                        "verdicts": [ours["verdict"], theirs["verdict"]],
                    }
                )
    return found


def page(found: dict[str, Any]) -> str:
    """The block of docs/models.md."""

    def shown(value: float | None) -> str:
        return "none" if value is None else f"{value:.3g}"

    head = ["claim", "figure", "dtypes", "before", "after", "move / half-width", "verdicts"]
    rows = [
        [
            item["claim"], item["figure"], f"{item['from']} to {item['to']}",
            shown(item["before"]), shown(item["after"]), shown(item["widths"]),
            " / ".join(item["verdicts"]),
        ]
        for item in found["moves"]
    ]  # fmt: skip
    same = sum(item["verdicts"][0] == item["verdicts"][1] for item in found["moves"])
    widest = max(
        (item["widths"] for item in found["moves"] if item["widths"] is not None), default=0
    )
    return (
        f"`{found['base']}` and `{found['fitted']}`, preset {found['preset']}, "
        f"{found['prompts']} prompts, {found['sizes']['context_tokens']} tokens read and "
        f"{found['sizes']['new_tokens']} written, seed {found['seed']}: "
        f"{same} of {len(rows)} figures stand under the same verdict; the largest move is "
        f"{widest:.2g} of an interval's half-width.\n\n{table(head, rows)}"
    )


def _pair(given: argparse.Namespace) -> None:
    """Fill in the default pair: smollm2 and the twin that `make demo` leaves, made if missing."""
    if given.base is None:
        given.base = "smollm2"
    if given.fitted is None:
        given.fitted = str(TWIN)
        if not TWIN.exists():
            hyperinterp.train(given.base, hyperinterp.builtin_passages("train").head(32), TWIN)


def main() -> None:
    """Run and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("base", nargs="?")
    parser.add_argument("fitted", nargs="?")
    parser.add_argument("--dtypes", default="float32,bfloat16")
    parser.add_argument("--claims", default="C1,C4,C5,C6")
    parser.add_argument("--preset", default="quick")
    parser.add_argument("--prompts")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    try:
        _pair(given)
        runs = {dtype: measure(given, dtype) for dtype in given.dtypes.split(",")}
    except HyperinterpError as error:
        sys.exit(f"dtypes: {error}")
    found: dict[str, Any] = {
        "base": Path(given.base).name,
        "fitted": Path(given.fitted).name,
        "preset": given.preset,
        "seed": given.seed,
        "prompts": next(iter(runs.values()))["prompts"],
        "sizes": next(iter(runs.values()))["sizes"],
        "moves": moves(runs),
        "runs": runs,
    }
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    if given.out == RESULTS:
        rewrite_block(DOCS / "models.md", "dtypes", page(found))
    print(page(found))


if __name__ == "__main__":
    main()
