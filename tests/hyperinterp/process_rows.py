"""Comparisons by several real processes against one: the figures of the trust table."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from hyperinterp.checkpoints import save_checkpoint
from tests.cli_rows import run_jobs
from tests.hyperinterp.training.factory import byte_tokenizer, letters, tiny_hf

PROMPTS = 50
SLUGS = (
    "expansion", "diversity", "reranking", "temperature", "static_bias", "last_block", "late_stage",
    "control",
)  # fmt: skip

BREAK = {
    "": "",
    "no common reference": (
        "hyperinterp.capture.pair._Intake._common_references = lambda self: {}"
    ),
    "nothing dealt out": (  # of the batches; sites are a list
        "share = Processes.share\n"
        "Processes.share = lambda self, items: "
        "share(self, items) if isinstance(items, list) else iter(items)"
    ),
}
"""Ways to take a guard out, to see that its absence is noticed."""

UNLIKE = {
    "other hardware": """
import math, os
from dataclasses import replace
from hyperinterp.analyses import bias_fit
from hyperinterp.claims.last_block import measurement
from hyperinterp.claims.temperature import fit
from probes import Moments
loss, solved, recovered = bias_fit._loss, fit._solved, measurement._recovered
spectrum = Moments.spectrum

def up(tensor):
    return tensor.nextafter(torch.full_like(tensor, math.inf))

def loss_up(study, contexts):
    found = loss(study, contexts)
    return replace(found, constant=math.nextafter(found.constant, 9), wanted=up(found.wanted))

def solved_up(chunks, target):
    temperature, why = solved(chunks, target)
    return math.nextafter(temperature, 9), why

def tie_broken(found):
    return recovered(found) | {1: replace(recovered(found)[1], value=9.0)}

def turned(moments, *given, **named):
    found = spectrum(moments, *given, **named)
    if found.vectors is None:
        return found
    signs = 1 - 2 * (torch.arange(moments.d, device=found.vectors.device) % 2)
    return replace(found, vectors=found.vectors * signs)

if os.environ.get("RANK") == "1":
    bias_fit._loss, fit._solved = loss_up, solved_up
    measurement._recovered, Moments.spectrum = tie_broken, turned
""",
}
"""Ways in which the second process computes otherwise than the first, by rounding."""

SCRIPT = """
import sys, torch, hyperinterp as hi
import hyperinterp.capture.pair
from hyperinterp.capture import run_pair
from hyperinterp.comparison import compare
from hyperinterp.distributed import Processes, join, leave
from hyperinterp.sites import component_sites, stream_sites
from hyperinterp.sizes import Sizes
from hyperinterp.text import tokenise
folder, out, whole = sys.argv[1:]
BREAK
sizes = Sizes(
    prompts=50, prompt_tokens=5, new_tokens=10, window=10, context_tokens=16,
    contexts_per_prompt=4, order_contexts=40, lens_contexts=9, sweep=(0.7,), alphas=(1.0,),
    seeds=1, control_prompts=5, bias_steps=5, patch_prompts=7, null_draws=1, null_blocks=1,
    stitched=3,
)
processes = join()
base, fitted = hi.load(folder + "/base"), hi.load(folder + "/fitted")
prompts = hi.read_prompts(folder + "/prompts.jsonl")
rows, layers = tokenise(base.tokenizer, prompts, 16), base.n_layers
run = run_pair(base, fitted, rows, sites=(*stream_sites(layers), *component_sites(layers)),
               unit_norm=True, batch_size=4, processes=processes)

def told(found):  # few rows are kept as they are by one process, and as one group for each of two
    summed = {name: rows.moments().state() for name, rows in found.few.items()}
    few = {f"few/{name}/{key}": t for name, state in summed.items() for key, t in state.items()}
    return {name: t for name, t in found.state().items() if not name.startswith("few/")} | few

every = processes.collected({s.key: told(found) for s, found in run.sites.items()})
torch.save(every, f"{out}.sums.{processes.rank}")
if whole == "report":
    report = compare(base, fitted, prompts=prompts, control=fitted, late_stage=[base], sizes=sizes,
                     batch_size=4, processes=processes)
    open(f"{out}.{processes.rank}", "w").write(report.to_json())
leave(processes)
"""


def make_pair(folder: Path) -> Path:
    """Two tiny checkpoints and 50 prompts of unequal lengths, on disk."""
    for seed, name in enumerate(("base", "fitted")):
        model = tiny_hf("llama", seed)
        save_checkpoint(model, byte_tokenizer(), folder / name, provenance={})
    lines = [json.dumps({"id": item.id, "text": item.text}) for item in letters(PROMPTS)]
    (folder / "prompts.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return folder


def launched(count: int, *command: str) -> "subprocess.CompletedProcess[str]":
    """A command under torchrun's launcher with `count` processes; plain Python for none."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]
    return subprocess.run(
        [sys.executable, *(launcher if count else []), *command],
        capture_output=True,
        text=True,
        timeout=400,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        check=False,
    )


def run(folder: Path, *runs: tuple[int, str], report: bool = True) -> dict[tuple[int, str], Path]:
    """Let processes write their sums, and their reports, beside the returned paths.

    Args:
        folder: a pair of `make_pair`.
        runs: how many processes (0: one that is started plainly) and what is broken in them.
        report: also write the report of every process where nothing is broken.
    """
    places, jobs = {}, []
    for count, broken in runs:
        name = f"by-{count}{broken.replace(' ', '-')}"
        script, out = folder / f"{name}.py", folder / name
        script.write_text(SCRIPT.replace("BREAK", (BREAK | UNLIKE)[broken]), encoding="utf-8")
        given = [str(folder), str(out), "report" if report and not BREAK.get(broken) else "sums"]
        launch = {"WORLD_SIZE": "1", "RANK": "0"} if count == 1 else {}
        jobs.append({
            "script": str(script), "argv": given, "processes": max(count, 1), "env": launch,
        })  # fmt: skip
        places[count, broken] = out
    for done in run_jobs(jobs, folder):
        assert done["code"] == 0, done["stderr"][-3000:]
    return places


def largest_difference(one: Path, other: Path) -> dict[str, Any]:
    """How far the sums of two runs are apart, as a share of the largest entry of each tensor."""
    worst, equal = 0.0, True
    ours, theirs = (torch.load(f"{path}.sums.0") for path in (one, other))
    for key, state in ours.items():
        assert state.keys() == theirs[key].keys()
        for name, tensor in state.items():
            apart = (tensor.double() - theirs[key][name].double()).abs().max()
            worst = max(worst, float(apart / tensor.double().abs().max().clamp_min(1e-300)))
            if name.endswith("/n"):
                equal = equal and bool(torch.equal(tensor, theirs[key][name]))
    return {"moments_relative": worst, "n_equal": equal}


def numbers(result: Any, path: str = "") -> dict[str, float]:
    """Every number of a result by its path."""
    if isinstance(result, dict | list):
        items = result.items() if isinstance(result, dict) else enumerate(result)
        return {k: v for name, value in items for k, v in numbers(value, f"{path}/{name}").items()}
    return (
        {path: result} if isinstance(result, int | float) and not isinstance(result, bool) else {}
    )


def reports(out: Path, count: int) -> list[dict[str, Any]]:
    """What every process reported."""
    return [json.loads(Path(f"{out}.{rank}").read_text()) for rank in range(max(count, 1))]


def apart(one: dict[str, Any], other: dict[str, Any]) -> float:
    """Largest difference of two reports' figures, relative above 1 and absolute below."""
    worst = 0.0
    for slug in SLUGS:
        before, after = (numbers(report["results"][slug]) for report in (one, other))
        assert before.keys() == after.keys()
        for path, value in before.items():
            worst = max(worst, abs(after[path] - value) / max(1.0, abs(value)))
    return worst


def processes_row(folder: Path, counts: tuple[int, ...] = (1, 2, 3)) -> dict[str, Any]:
    """Figures of several processes against a plain run."""
    return held_together(run(make_pair(folder), *((count, "") for count in (0, *counts))), counts)


def held_together(places: dict[tuple[int, str], Path], counts: tuple[int, ...]) -> dict[str, Any]:
    """The figures of runs by several processes against those of the plain one."""
    alone = places[0, ""]
    (one,) = reports(alone, 0)
    sums, figures, verdicts, n, same = [], [], [], [], []
    for count in counts:
        out = places[count, ""]
        sums.append(largest_difference(alone, out))
        found = reports(out, count)
        assert found[0]["provenance"]["sizes"]["processes"] == count
        assert found[0]["provenance"]["forwards"] == one["provenance"]["forwards"]
        figures.append(apart(one, found[0]))
        claims = one["claims"].items()
        verdicts.append(all(found[0]["claims"][k]["verdict"] == c["verdict"] for k, c in claims))
        n.append(all(found[0]["claims"][k]["n"] == c["n"] for k, c in claims))
        same += [apart(found[0], mine) == 0 for mine in found[1:]]
    return {
        "processes": list(counts),
        "prompts": PROMPTS,
        "prompts_of_C5": one["claims"]["C5"]["n"],
        "every_n_equal": all(n) and all(found["n_equal"] for found in sums),
        "moments_relative": max(found["moments_relative"] for found in sums),
        "figures_apart": max(figures),
        "same_verdicts": all(verdicts),
        "processes_hold_the_same_figures": all(same),
    }
