"""Parts a and e: twins trained on the card, and their comparisons.

a: the same pair compared on the card and on the CPU, every figure side by side.
e: a hyperfit at the size of the paper, on text that the model itself wrote.
"""

import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, is_dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.gpu_job import Job
from hyperinterp.claims.registry import CLAIMS
from hyperinterp.comparison import compare
from hyperinterp.generation import Decoding, generate
from hyperinterp.report.schema import Report
from hyperinterp.sizes import PRESETS
from hyperinterp.text import Passage, Passages, TokenRows, builtin_passages, tokenise
from hyperinterp.training import TrainConfig, train

FLOOR = 1e-3
"""Differences of figures below this size are taken relative to it."""
NEAR = 1e-6
"""Figures that are apart by more, relatively, are listed one by one."""

BEGUN = 4
"""Tokens of a built-in passage that a text written for part e goes on from."""

FEW = replace(
    PRESETS["quick"], prompts=12, new_tokens=32, window=32, context_tokens=64,
    contexts_per_prompt=8, order_contexts=48, lens_contexts=16, control_prompts=6, sweep=(0.7,),
    bias_steps=20, patch_prompts=4, null_draws=1,
)  # fmt: skip
FEWEST = replace(
    FEW, prompts=8, prompt_tokens=8, new_tokens=8, window=8, context_tokens=16,
    contexts_per_prompt=4, order_contexts=16, lens_contexts=8, control_prompts=4, bias_steps=4,
    patch_prompts=2,
)  # fmt: skip


def agreement(job: Job) -> None:
    """Part a: a late-stage twin, compared on the card with few prompts, then on the CPU."""
    steps, rows = (4, 8) if job.small else (120, 64)
    sizes = FEWEST if job.small else FEW
    passages = builtin_passages("train").head(rows)
    config = TrainConfig(max_steps=steps, max_seconds=job.seconds / 5, resume_every=600.0)
    config = replace(config, seq_len=32 if job.small else 128)
    with tempfile.TemporaryDirectory() as folder:
        twin = Path(folder) / "twin"
        made = train(job.model, passages, twin, config, device=str(job.device))
        job.tell(twin=_training(made), sizes=asdict(sizes))
        reports: dict[str, Report] = {}
        for name, device in (("card", str(job.device)), ("cpu", "cpu")):
            began = time.perf_counter()
            reports[name] = compare(
                job.model, twin, sizes=sizes, train_data=passages, device=device
            )
            spent = time.perf_counter() - began
            job.tell(**{f"compare_on_{name}": _compared(reports[name], spent)})
    job.tell(**side_by_side(job, reports["cpu"], reports["card"]))


def numbers(item: Any, path: str = "") -> Iterator[tuple[str, float]]:
    """Every number of a dataclass, by its path."""
    if is_dataclass(item) and not isinstance(item, type):
        item = vars(item)
    if isinstance(item, dict):
        for key, value in item.items():
            yield from numbers(value, f"{path}/{key}")
    elif isinstance(item, list | tuple):
        for index, value in enumerate(item):
            yield from numbers(value, f"{path}/{index}")
    elif isinstance(item, int | float) and not isinstance(item, bool):
        yield path, float(item)


def apart(one: float, other: float) -> float:
    """How far two figures are apart, relative to the larger one, or to the floor."""
    return abs(one - other) / max(abs(one), abs(other), FLOOR)


def side_by_side(job: Job, cpu: Report, card: Report) -> dict[str, Any]:
    """Verdicts, and by claim the largest relative difference; every figure in a file beside."""
    claims: dict[str, Any] = {}
    figures: dict[str, dict[str, tuple[float | None, float | None]]] = {}
    for claim, block in ((spec.id, spec.slug) for spec in CLAIMS):
        sides = [
            dict(numbers({"claim": report.claims[claim], "block": getattr(report, block)}))
            for report in (cpu, card)
        ]
        figures[claim] = unequal(*sides)
        both = [path for path in sides[0] if path in sides[1]]
        gaps = {path: apart(sides[0][path], sides[1][path]) for path in both}
        worst = max(gaps, key=lambda path: gaps[path], default=None)
        found = [report.claims[claim] for report in (cpu, card)]
        claims[claim] = {
            "cpu": [str(found[0].verdict), found[0].effect],
            "card": [str(found[1].verdict), found[1].effect],
            "same_verdict": found[0].verdict == found[1].verdict,
            "figures": len(both),
            "within_1e-4": sum(gap <= 1e-4 for gap in gaps.values()),
            "largest_relative_difference": None if worst is None else gaps[worst],
            "there": worst,
            "in_one_only": len(sides[0]) + len(sides[1]) - 2 * len(both),
        }
    return {
        "claims": claims,
        "same_verdicts": all(found["same_verdict"] for found in claims.values()),
        "unequal_figures": job.beside(
            "figures", {"order": ["cpu", "card"], "apart_by_more_than": NEAR, "figures": figures}
        ),
        "floor": FLOOR,
    }


def unequal(
    cpu: dict[str, float], card: dict[str, float]
) -> dict[str, tuple[float | None, float | None]]:
    """Figures of both sides that are not near each other, or that one side alone has."""
    found = {path: (cpu.get(path), card.get(path)) for path in [*cpu, *card]}
    return {
        path: (one, other)
        for path, (one, other) in found.items()
        if one is None or other is None or apart(one, other) > NEAR
    }


def _training(made: Any) -> dict[str, Any]:
    names = ("method", "epochs", "steps", "loss", "stop", "trainable", "tokens", "seconds",
             "tokens_per_second", "prefix")  # fmt: skip
    return {name: getattr(made, name) for name in names}


def _compared(report: Report, spent: float) -> dict[str, Any]:
    return {
        "seconds": spent,
        "by_analysis": report.provenance.wall_seconds,
        "verdicts": {name: str(claim.verdict) for name, claim in report.claims.items()},
    }


# -- at the size of the paper --------------------------------------------------------------------


def paper(job: Job) -> None:
    """Part e: 2000 passages of 256 tokens, learnt in full as the papers do, then late-stage."""
    count, length = (8, 32) if job.small else (2000, 256)
    passages, told = written_passages(job, count, length, job.seconds / 3)
    job.tell(passages=told)
    shared: dict[str, Any] = {
        "batch_size": 4 if job.small else 32, "seq_len": length, "dtype": "bfloat16",
        "epochs": 1 if job.small else 20, "resume_every": 600.0,
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        spent = 0.0
        for method, share in (("full", 0.8), ("late-stage", 1.0)):
            most = share * (job.left - spent)
            if most < 5:
                job.tell(**{f"left_out_{method}": "no time left"})
                return
            config = TrainConfig(method=method, max_seconds=most, **shared)
            made = train(job.model, passages, Path(folder) / method, config, device=str(job.device))
            epoch = made.seconds / made.epochs if made.epochs else None
            job.tell(**{method: _training(made) | {"seconds_per_whole_epoch": epoch}})
            spent = _judged(job, Path(folder), method, passages)


def _judged(job: Job, folder: Path, method: str, passages: Passages) -> float:
    """Compare one twin with its base; returns the seconds it took."""
    before = job.left
    report = compare(
        job.model, folder / method, train_data=passages,
        sizes=FEWEST if job.small else PRESETS["quick"], device=str(job.device),
    )  # fmt: skip
    spent = before - job.left
    job.tell(**{f"compare_{method}": _compared(report, spent)})
    return spent


def written_passages(
    job: Job, count: int, length: int, most: float
) -> tuple[Passages, dict[str, Any]]:
    """Texts that the model samples after the first tokens of the built-in passages.

    Args:
        job: the task.
        count: texts wanted.
        length: tokens of a text, its beginning included.
        most: after so many seconds no further batch is begun.
    """
    batch, model = min(count, 1000), job.base
    known = tokenise(model.tokenizer, builtin_passages("train"), BEGUN).rows
    known = [row for row in known if len(row) == BEGUN]
    started = time.perf_counter()
    texts: list[str] = []
    while len(texts) < count and (not texts or time.perf_counter() - started < most):
        size = min(batch, count - len(texts))
        rows = tuple(known[(len(texts) + number) % len(known)] for number in range(size))
        prompts = TokenRows(rows, tuple(range(size)), BEGUN, 0)
        arm = Decoding("sampled", 1.0, seed=len(texts))
        written = generate(
            model, prompts, (arm,), new_tokens=length - BEGUN, batch_size=size, stops=()
        )["sampled"].rows
        decode = model.tokenizer.decode
        texts += [
            str(decode([*row, *new], skip_special_tokens=True))
            for row, new in zip(rows, written, strict=True)
        ]
    spent = time.perf_counter() - started
    items = tuple(Passage(f"written-{n}", text) for n, text in enumerate(dict.fromkeys(texts)))
    passages = Passages(items, "sampled from the base model at temperature 1")
    told = {
        "made": "sampled by the base model itself, at temperature 1, after the first "
        f"{BEGUN} tokens of built-in passages; no text of people",
        "count": len(passages),
        "wanted": count,
        "tokens_each": length,
        "seconds": spent,
        "tokens_per_second": len(texts) * (length - BEGUN) / spent,
    }
    return passages, told
