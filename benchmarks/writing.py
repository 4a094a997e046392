"""The writing phase of a comparison, beside that of an older checkout.

Two processes take turns, each with its own code and the same models, prompts and texts: those that
the presets order, at fewer tokens where asked. Figures are ratios of medians of wall-clock seconds
on a quiet machine. Writes benchmarks/results/writing.json.

Usage: python -m benchmarks.writing --before CHECKOUT [--preset quick] [--rounds 5] [--tokens 64]
       [--threads 2]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch


def orders(preset: str, tokens: int) -> list[list[Any]]:
    """What a preset has written: first both models together, then each changed model alone."""
    from hyperinterp.claims.quality.arms import remedies
    from hyperinterp.generation import GREEDY, Decoding, Writer
    from hyperinterp.models import load
    from hyperinterp.sizes import PRESETS
    from hyperinterp.text import TokenRows, builtin_passages, tokenise

    sizes = PRESETS[preset]
    base, fitted = load("smollm2"), load("smollm2")
    with torch.no_grad():  # a twin that is surer of what comes next
        fitted.final_norm.weight.mul_(1.3)  # pyright: ignore
    whole = [
        row
        for split in ("heldout", "train")
        for row in tokenise(base.tokenizer, builtin_passages(split), sizes.prompt_tokens).rows
        if len(row) == sizes.prompt_tokens
    ][: sizes.prompts]
    prompts = TokenRows(tuple(whole), tuple(range(len(whole))), sizes.prompt_tokens, 0)
    rows = tuple(range(sizes.control_prompts))
    generator = torch.Generator().manual_seed(0)
    biases = 2 * len({*sizes.alphas}) + 2
    heats = {"own": 1.0, "global": 0.9, "context": 1.0} | {f"at {t}": t for t in sizes.sweep}
    arms = [GREEDY, *remedies(0, rows)]
    arms += [
        Decoding(f"{name}, {seed}", t, seed, rows=rows, match_entropy=name == "context")
        for name, t in heats.items()
        for seed in range(sizes.seeds)
    ]
    shift = torch.randn(biases, base.vocab_size, generator=generator) * 0.1
    arms += [Decoding(f"bias {n}", bias=bias, rows=rows) for n, bias in enumerate(shift)]
    own = [Decoding(f"own, {seed}", 1.0, seed, rows=rows) for seed in range(sizes.seeds)]

    def writer(model: Any, asked: Any) -> Any:
        return Writer(model, prompts, asked, stops=(), new_tokens=tokens, match_entropy_of=fitted)

    ablated = [_ablated(fitted, rows, number) for number in range(min(3, sizes.stitched))]
    changed = sizes.stitched
    if None in ablated:  # an older checkout writes such texts one by one
        changed, ablated = changed + len(ablated), []
    alone = [Decoding("alone", rows=rows)]
    theirs = [GREEDY, *own, *ablated]
    stitched = _stitched(base, fitted, rows, sizes.stitched)
    for role, arm in stitched:
        (arms if role == "base" else theirs).append(arm)
    first = [writer(base, arms), writer(fitted, theirs)]
    return [first, *[[writer(base, alone)] for _ in range(changed - len(stitched))]]


def _stitched(base: Any, fitted: Any, rows: tuple[int, ...], most: int) -> list[tuple[str, Any]]:
    """Arms of stitched models, with the role that writes them; none where arms cannot be that."""
    from hyperinterp.claims.last_block import stitched
    from hyperinterp.generation import Decoding

    if "stitch" not in Decoding.__dataclass_fields__:
        return []
    from hyperinterp.models import Stitch

    models = {"base": base, "fitted": fitted}
    return [
        (
            it.recipient,
            Decoding(
                it.label,
                rows=rows,
                stitch=Stitch(models[it.recipient], models[it.donor], it.layers),
            ),
        )
        for it in stitched.planned_models(base.n_layers, None, most)
    ]


def _ablated(model: Any, rows: tuple[int, ...], number: int) -> Any:
    """An arm whose stream lacks 40 directions at the end; None where arms cannot say so."""
    from hyperinterp.generation import Decoding

    if "change" not in Decoding.__dataclass_fields__:
        return None
    generator = torch.Generator().manual_seed(number)
    basis = torch.linalg.qr(torch.randn(model.d_model, 40, generator=generator)).Q

    def change(stream: torch.Tensor) -> torch.Tensor:
        return stream - stream @ basis @ basis.mT

    return Decoding(f"ablated {number}", rows=rows, change=change)


def work(preset: str, tokens: int, threads: int) -> None:
    """Write all of it whenever a line comes in; say how many seconds it took."""
    torch.set_num_threads(threads)
    from hyperinterp import generations
    from hyperinterp.generation import write_all

    size = generations.TEXTS_PER_ROW * 8
    asked = orders(preset, tokens)
    print(json.dumps(sum(len(writer.jobs) for item in asked for writer in item)), flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        for writers in asked:
            write_all(writers, batch_size=size)
        print(json.dumps(time.perf_counter() - start), flush=True)


def prefill(threads: int) -> float:
    """Tokens per second of one plain pass with logits at every position."""
    torch.set_num_threads(threads)
    from hyperinterp.models import load

    model, ids = load("smollm2"), torch.randint(5, 40_000, (8, 96))
    model.logits(ids[:1])
    start = time.perf_counter()
    model.logits(ids)
    return ids.numel() / (time.perf_counter() - start)


def measured(before: Path, preset: str, tokens: int, rounds: int, threads: int) -> dict[str, Any]:
    """Both checkouts, alternating."""
    here = Path(__file__).resolve().parent.parent
    asked = [preset, str(tokens), str(threads)]
    workers: dict[str, subprocess.Popen[str]] = {
        name: subprocess.Popen(
            [sys.executable, str(Path(__file__).resolve()), "--work", *asked],
            env={**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": str(threads)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name, root in (("before", before), ("now", here))
    }
    texts = {name: int(_line(worker)) for name, worker in workers.items()}
    seconds: dict[str, list[float]] = {name: [] for name in workers}
    for _ in range(rounds):
        for name, worker in workers.items():
            assert worker.stdin is not None
            worker.stdin.write("go\n")
            worker.stdin.flush()
            seconds[name].append(float(_line(worker)))
    for worker in workers.values():
        worker.communicate()
    middle = {name: statistics.median(values) for name, values in seconds.items()}
    return {
        "preset": preset,
        "texts": texts["now"],
        "tokens": tokens,
        "seconds": seconds,
        "before_over_now": middle["before"] / middle["now"],
        "written_per_second": texts["now"] * tokens / middle["now"],
    }


def _line(worker: "subprocess.Popen[str]") -> str:
    assert worker.stdout is not None
    return worker.stdout.readline()


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", type=Path, help="checkout of the version to compare with")
    parser.add_argument("--preset", default="quick")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--work", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.work:
        work(args.work[0], *map(int, args.work[1:]))
        return
    if args.before is None:
        parser.error("--before: expected a checkout of the version to compare with, found none")
    from benchmarks import record

    found = measured(args.before, args.preset, args.tokens, args.rounds, args.threads)
    found["prefill_tokens_per_second"] = prefill(args.threads)
    known = {}
    if (record.RESULTS / "writing.json").exists():
        known = record.read("writing")
    figures = {**known.get("presets", {}), args.preset: found}
    print(record.write("writing", {"presets": figures}, args.threads))


if __name__ == "__main__":
    main()
