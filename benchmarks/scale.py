"""Speed and memory on the real model: capture, peers, replayed patching, processes.

Arms of one measurement alternate in one process on the same inputs; figures are ratios of medians.
Writes benchmarks/results/scale.json, part by part, and the table in README.md.

Usage: python -m benchmarks.scale [capture peers memory patching processes]
       [--rounds 5] [--threads 1] [--fitted DIR]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch

from benchmarks import record
from benchmarks.device import seconds as timed
from benchmarks.pages import README, rewrite_block, table
from hyperinterp.capture import run_one
from hyperinterp.memory import keep_freed_memory
from hyperinterp.models import Component, ComponentKind, HookedModel, load, patched
from hyperinterp.sites import Site, SiteKind, block_outputs
from hyperinterp.text import TokenRows, builtin_passages, tokenise

PARTS = ("capture", "peers", "memory", "patching", "processes")
LENGTH, BATCH = 128, 8
CPU = torch.device("cpu")


def some_rows(model: HookedModel, tokens: int) -> TokenRows:
    """Rows of 128 tokens from the built-in fiction, repeated as often as is needed."""
    found = [
        row
        for split in ("train", "heldout")
        for row in tokenise(model.tokenizer, builtin_passages(split), LENGTH).rows
        if len(row) == LENGTH
    ]
    count = max(1, tokens // LENGTH)
    rows = tuple(found[index % len(found)] for index in range(count))
    return TokenRows(rows, tuple(range(count)), LENGTH, 0)


def alternated(
    arms: dict[str, Callable[[], object]], rounds: int, device: torch.device = CPU
) -> dict[str, list[float]]:
    """Wall seconds of every arm in every round, after one round that is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in arms}
    for turn in range(rounds + 1):
        for name, arm in arms.items():
            spent = timed(device, arm)
            if turn:
                seconds[name].append(spent)
    return seconds


def block_operations(model: HookedModel, length: int) -> float:
    """Operations per token of one block: its matrices and half of the attention scores."""
    weights = sum(w.numel() for w in model.blocks[0].parameters() if w.ndim > 1)
    return 2.0 * weights + 2.0 * length * model.d_model


def capture(rounds: int, model: HookedModel | None = None) -> dict[str, Any]:
    """The backbone alone, and with moments at every block's output and the final norm."""
    model = model or load("smollm2", device="cpu")
    rows = some_rows(model, 2048)
    sites = (*block_outputs(model.n_layers), Site(SiteKind.FINAL_NORM))
    seconds = alternated(
        {
            "backbone": lambda: [model.run(ids) for _, ids in rows.batches(BATCH)],
            "capture": lambda: run_one(
                model, rows, sites=sites, contexts_per_row=1, batch_size=BATCH
            ),
        },
        rounds,
        model.device,
    )
    ratio = statistics.median(seconds["capture"]) / statistics.median(seconds["backbone"])
    bare = model.n_layers * block_operations(model, LENGTH)
    sums = len(sites) * 2.0 * model.d_model**2
    return {
        "tokens": rows.n_tokens,
        "sites": len(sites),
        "seconds": seconds,
        "ratio": ratio,
        "ratio_per_round": [
            b / a for a, b in zip(seconds["backbone"], seconds["capture"], strict=True)
        ],
        "operation_count": "a [d n] x [n d] product per site against the blocks' matrices and "
        "attention; a symmetric product needs half of it (made in strips, .58 of it at d = 576)",
        "ratio_of_operations": 1 + sums / bare,
        "ratio_of_operations_symmetric": 1 + sums / 2 / bare,
    }


def _ours(model: HookedModel, rows: TokenRows) -> list[float]:
    sites = (*block_outputs(model.n_layers), Site(SiteKind.FINAL_NORM))
    run = run_one(model, rows, sites=sites, contexts_per_row=1, batch_size=BATCH)
    return [run.moments[site].spectrum().participation_ratio for site in sites]


def _bridge() -> Any:
    from transformer_lens.model_bridge.sources import build_bridge_from_module

    model = load("smollm2", device="cpu")
    return build_bridge_from_module(
        model.hf, "LlamaForCausalLM", hf_config=model.hf.config, tokenizer=None
    )


def _theirs(bridge: Any, rows: TokenRows) -> list[float]:
    """transformer-lens's cache of the wanted names, piled up, and scikit-learn's PCA per layer."""
    from sklearn.decomposition import PCA

    layers = bridge.cfg.n_layers
    names = [f"blocks.{layer}.hook_out" for layer in range(layers)] + ["ln_final.hook_out"]
    known = set(bridge.hook_dict)
    assert known.issuperset(names), sorted(set(names) - known)
    piled: dict[str, list[torch.Tensor]] = {name: [] for name in names}
    with torch.no_grad():
        for _, ids in rows.batches(BATCH):
            _, cache = bridge.run_with_cache(ids, names_filter=lambda name: name in piled)
            for name, kept in piled.items():
                kept.append(cache[name][:, 1:].flatten(0, 1))
    found = []
    for kept in piled.values():
        variance = PCA().fit(torch.cat(kept).numpy()).explained_variance_
        found.append(float(variance.sum() ** 2 / (variance**2).sum()))
    return found


def peers(rounds: int, tokens: int = 16384) -> dict[str, Any]:
    """The same participation ratios by transformer-lens's cache and scikit-learn's PCA."""
    model, bridge = load("smollm2", device="cpu"), _bridge()
    rows = some_rows(model, tokens)
    answers: dict[str, list[float]] = {}
    seconds = alternated(
        {
            "backbone": lambda: [model.run(ids) for _, ids in rows.batches(BATCH)],
            "hyperinterp": lambda: answers.update(ours=_ours(model, rows)),
            "transformer-lens + scikit-learn": lambda: answers.update(theirs=_theirs(bridge, rows)),
        },
        rounds,
    )
    bare, ours, theirs = (statistics.median(found) for found in seconds.values())
    return {
        "tokens": rows.n_tokens,
        "seconds": seconds,
        "largest_relative_difference": max(
            abs(a - b) / b for a, b in zip(answers["ours"], answers["theirs"], strict=True)
        ),
        "total_ours_over_theirs": ours / theirs,
        "beyond_the_forward_ours_over_theirs": (ours - bare) / (theirs - bare),
    }


def peak(arm: str, tokens: int) -> None:
    """In a fresh process: print the peak of resident bytes above the loaded model."""
    model = load("smollm2", device="cpu")
    rows = some_rows(model, tokens)
    run = _ours if arm == "ours" else _theirs
    given: Any = model if arm == "ours" else _bridge()
    run(given, some_rows(model, 1024))  # what libraries allocate once
    Path("/proc/self/clear_refs").write_text("5")
    before = _status("VmRSS")
    run(given, rows)
    print(json.dumps({"before": before, "peak": _status("VmHWM")}))


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


def memory(_rounds: int) -> dict[str, Any]:
    """Peak resident memory from 4k to 64k tokens, each measured in its own process."""
    found: dict[str, dict[str, Any]] = {"ours": {}, "theirs": {}}
    for arm, sizes in found.items():
        for tokens in (4096, 16384, 65536):
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.scale", "--peak", arm, str(tokens)],
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            sizes[str(tokens)] = (
                json.loads(done.stdout.splitlines()[-1])
                if done.returncode == 0
                else f"died with {done.returncode}"
            )
    growth = {
        arm: sizes["65536"]["peak"] / sizes["4096"]["peak"] - 1
        for arm, sizes in found.items()
        if all(isinstance(size, dict) for size in sizes.values())
    }
    return {"bytes": found, "growth_from_4k_to_64k": growth}


def patching(rounds: int, model: HookedModel | None = None) -> dict[str, Any]:
    """Exchange blocks both ways: replay of the suffix against one full forward per block."""
    base = model or load("smollm2", device="cpu")
    fitted = HookedModel(deepcopy(base.hf), base.tokenizer, name="changed")
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in fitted.hf.parameters():
            noise = torch.randn(weight.shape, generator=draw).to(weight)
            weight.add_(noise * weight.std() * 0.05)
    ((_, ids),) = some_rows(base, LENGTH).batches(1)
    layers = range(1, base.n_layers, 2)  # every second block, the last one among them
    ways = ((base, fitted), (fitted, base))
    answers: dict[str, list[torch.Tensor]] = {}

    def replayed() -> None:
        found = []
        for recipient, donor in ways:
            recording = recipient.record(ids)
            for layer in layers:
                with (
                    patched(recipient, donor, [Component(ComponentKind.BLOCK, layer)]),
                    torch.no_grad(),
                ):
                    found.append(recipient.lens(recipient.replay(recording, layer))[:, -1])
        answers["replayed"] = found

    def naive() -> None:
        found = []
        for recipient, donor in ways:
            for layer in layers:
                with patched(recipient, donor, [Component(ComponentKind.BLOCK, layer)]):
                    found.append(recipient.logits(ids)[:, -1])
        answers["naive"] = found

    seconds = alternated({"naive": naive, "replayed": replayed}, rounds, base.device)
    medians = {name: statistics.median(found) for name, found in seconds.items()}
    block, head = block_operations(base, LENGTH), 2.0 * base.vocab_size * base.d_model
    count = base.n_layers
    full = len(layers) * (count * block + head)
    suffix = sum((count - layer) * block + head for layer in layers) + count * block
    worst = max(
        float((a - b).abs().max())
        for a, b in zip(answers["naive"], answers["replayed"], strict=True)
    )
    ratio = medians["naive"] / medians["replayed"]
    return {
        "tokens": ids.numel(),
        "exchanges": 2 * len(layers),
        "seconds": seconds,
        "ratio": ratio,
        "ratio_of_operations": full / suffix,
        "share_of_limit": ratio / (full / suffix),
        "operation_count": "blocks' matrices and attention and the unembedding at every position; "
        "the replay also runs each model once",
        "largest_logit_difference": worst,
    }


COMPARE = """
import json, sys, time, torch, hyperinterp as hi
from dataclasses import replace
from hyperinterp.comparison import compare
from hyperinterp.sizes import sizes_of
from hyperinterp.distributed import join, leave
torch.set_num_threads(1)
processes = join()
models = hi.load("smollm2"), hi.load(sys.argv[1], base="smollm2", base_if_adapter=True)
sizes = replace(sizes_of("default"), prompts=50, new_tokens=32, window=32, components=False)
processes.everywhere(0)
began = time.perf_counter()
report = compare(
    *models, sizes=sizes, batch_size=5, claims="C1,C4,C5", processes=processes
)
seconds = time.perf_counter() - began
if processes.first:
    verdicts = {name: claim.verdict for name, claim in report.claims.items()}
    parts = report.provenance.wall_seconds
    print(json.dumps({"seconds": seconds, "verdicts": verdicts, "by_analysis": parts}))
leave(processes)
"""


def processes(rounds: int, fitted: str) -> dict[str, Any]:
    """The same comparison by one and by two single-threaded processes.

    Claims C1, C4 and C5 on 50 passages with the sizes of the default preset, but for texts of 32
    tokens and the geometry of attention and MLP outputs, which are left out for time. Batches of
    5 rows, so that both processes read as many.
    """
    found: dict[str, list[Any]] = {"1": [], "2": []}
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "compare.py"
        script.write_text(COMPARE, encoding="utf-8")
        for _ in range(rounds):
            for count, runs in found.items():
                done = subprocess.run(
                    [sys.executable, "-m", "torch.distributed.run", "--standalone",
                     "--nproc-per-node", count, str(script), fitted],
                    capture_output=True, text=True, check=True,
                    env=os.environ | {"OMP_NUM_THREADS": "1"},
                )  # fmt: skip
                lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
                runs.append(json.loads(lines[-1]))
    seconds = {count: [run["seconds"] for run in runs] for count, runs in found.items()}
    parts = {
        count: {
            part: statistics.median(run["by_analysis"][part] for run in runs)
            for part in runs[0]["by_analysis"]
        }
        for count, runs in found.items()
    }
    return {
        "seconds": seconds,
        "by_analysis": parts,
        "counted": "wall time of the comparison; starting Python and loading the models left out",
        "speed_up": statistics.median(seconds["1"]) / statistics.median(seconds["2"]),
        "same_verdicts": all(
            run["verdicts"] == found["1"][0]["verdicts"] for runs in found.values() for run in runs
        ),
    }


def readme_table(known: dict[str, Any]) -> str:
    """The measured ratios beside what they are held against, as far as they are there."""
    rows: list[list[str]] = []
    if (found := known.get("capture")) is not None:
        limit = f"{found['ratio_of_operations_symmetric']:.2f} by the count of operations"
        rows.append(
            ["moments of every block, over the bare forward", f"{found['ratio']:.2f}", limit]
        )
    if (found := known.get("patching")) is not None:
        limit = f"{found['ratio_of_operations']:.2f} by the count of operations"
        rows.append(
            ["all blocks patched both ways, full forwards over ours",
             f"{found['ratio']:.2f}", limit]
        )  # fmt: skip
    if (found := known.get("peers")) is not None:
        rows.append(
            [f"geometry of {found['tokens']} tokens, over transformer-lens and scikit-learn",
             f"{found['total_ours_over_theirs']:.2f}",
             f"{found['beyond_the_forward_ours_over_theirs']:.2f} beyond the forward itself"]
        )  # fmt: skip
    if (found := known.get("memory")) is not None:
        growth = found["growth_from_4k_to_64k"]
        rows.append(
            ["peak memory, from 4k to 64k tokens", f"{growth['ours']:+.0%}",
             f"{growth['theirs']:+.0%} for those two"]
        )  # fmt: skip
    if (found := known.get("processes")) is not None:
        rows.append(["speed of two processes, over one", f"{found['speed_up']:.2f}", "2 at most"])
    return table(["", "measured", "held against"], rows)


def main() -> None:
    """Run the parts and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], default=[])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--fitted", default="demo/late-stage", help="a twin of smollm2")
    parser.add_argument("--peak", nargs=2, metavar=("ARM", "TOKENS"))
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    keep_freed_memory()  # as the command does
    if given.peak:
        peak(given.peak[0], int(given.peak[1]))
        return
    more: dict[str, tuple[Any, ...]] = {"processes": (given.fitted,)}
    wanted = given.parts or PARTS
    if set(wanted) & set(more) and not Path(given.fitted).exists():
        parser.error(
            f"--fitted: expected a twin of smollm2 (`make demo` trains one), found nothing "
            f"at {given.fitted}"
        )
    for name in wanted:
        path = record.RESULTS / "scale.json"
        known = record.read("scale") if path.is_file() else {}
        kept = {part: known[part] for part in PARTS if part in known}
        measured = globals()[name](given.rounds, *more.get(name, ()))
        measured["machine"] = record.machine(given.threads)
        record.write("scale", kept | {name: measured}, given.threads)
        rewrite_block(README, "scale", readme_table(kept | {name: measured}))
        told = {key: value for key, value in measured.items() if key not in ("seconds", "sizes")}
        print(name, json.dumps(told, indent=2), flush=True)


if __name__ == "__main__":
    main()
