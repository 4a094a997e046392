"""Part c: decoding of our writing and of transformers' generate, held against memory traffic."""

import statistics
from collections.abc import Callable
from typing import Any

import torch
from transformers import GenerationConfig

from benchmarks.device import bandwidth, launches, seconds
from benchmarks.gpu_job import Job
from hyperinterp.generation import generate
from hyperinterp.generation.keys import kept_bytes
from hyperinterp.models import HookedModel, load
from hyperinterp.text import TokenRows, builtin_passages, tokenise

PROMPT = 32
COUNTED = 2, 4
"""Tokens written while launches are counted: a profile of many steps takes long to add up."""

Writing = Callable[[int], object]


def decoding(job: Job) -> None:
    """Tokens per second and step time at several numbers of rows, in bfloat16, then float32."""
    speed = bandwidth(job.device)
    job.tell(copy_bytes_per_second=speed)
    sizes = (4,) if job.small else (96, 1, 24, 384)
    short, long = (2, 4) if job.small else (8, 32)
    rounds = 1 if job.small else 3
    found: dict[str, dict[str, Any]] = {}
    for dtype in ("bfloat16", "float32"):
        model = load(job.model, device=str(job.device), dtype=dtype)
        found[dtype], longest = {}, 0.0
        for rows in sizes:
            before = job.left
            if before < max(longest, 1.0):
                found[dtype][str(rows)] = {"left_out": "no time left"}
            else:
                found[dtype][str(rows)] = _at(model, rows, (short, long), rounds, speed)
                longest = max(longest, before - job.left)
            job.tell(decoding=found, prompt_tokens=PROMPT, new_tokens=[short, long], rounds=rounds)
    rows = sizes[0]  # launches do not depend on the rows; to count them takes long on a card
    for name, arm in _arms(model, some_prompts(model, rows)).items():
        if (timed := found[dtype][str(rows)].get(name)) and job.left > longest:
            timed["per_step"] = _counted(model, arm)
            job.tell(decoding=found)


def some_prompts(model: HookedModel, rows: int) -> TokenRows:
    """The first tokens of the built-in passages, as often as is needed."""
    found = tokenise(model.tokenizer, builtin_passages("train"), PROMPT).rows
    whole = [row for row in found if len(row) == PROMPT]
    picked = tuple(whole[number % len(whole)] for number in range(rows))
    return TokenRows(picked, tuple(range(rows)), PROMPT, 0)


def _arms(model: HookedModel, prompts: TokenRows) -> dict[str, Writing]:
    ((_, ids),) = prompts.batches(len(prompts))
    ids = ids.to(model.device)
    mask = torch.ones_like(ids)

    def ours(tokens: int) -> object:
        return generate(model, prompts, new_tokens=tokens, batch_size=len(prompts), stops=())

    def theirs(tokens: int) -> object:
        asked = GenerationConfig(
            max_new_tokens=tokens, min_new_tokens=tokens, do_sample=False, pad_token_id=0
        )
        kept, model.hf.generation_config = model.hf.generation_config, GenerationConfig()
        try:
            with torch.no_grad():
                return model.hf.generate(
                    input_ids=ids, attention_mask=mask, generation_config=asked
                )  # pyright: ignore
        finally:
            model.hf.generation_config = kept

    return {"hyperinterp": ours, "transformers": theirs}


def _at(
    model: HookedModel, rows: int, lengths: tuple[int, int], rounds: int, speed: float
) -> dict[str, Any]:
    """Both arms at one number of rows, alternating; a step is the slope between two lengths."""
    short, long = lengths
    arms = _arms(model, some_prompts(model, rows))
    for arm in arms.values():
        arm(short)
    times: dict[str, dict[int, list[float]]] = {name: {short: [], long: []} for name in arms}
    for _ in range(rounds):
        for name, arm in arms.items():
            for tokens in lengths:
                work = seconds(model.device, lambda arm=arm, tokens=tokens: arm(tokens))
                times[name][tokens].append(work)
    moved = bytes_per_step(model, rows, PROMPT + (short + long) / 2)
    found: dict[str, Any] = {"bytes_per_step": moved}
    for name in arms:
        whole = statistics.median(times[name][long])
        step = (whole - statistics.median(times[name][short])) / (long - short)
        found[name] = {
            "seconds": {str(tokens): values for tokens, values in times[name].items()},
            "tokens_per_second": rows * long / whole,
            "step_seconds": step,
            "step_over_its_memory_traffic": step / (moved / speed),
        }
    ours, theirs = (found[name]["tokens_per_second"] for name in arms)
    found["ours_over_theirs"] = ours / theirs
    return found


def _counted(model: HookedModel, arm: Writing) -> dict[str, float]:
    """What one more token runs, by kind: the slope between two lengths."""
    counts = [launches(model.device, lambda t=t: arm(t)) for t in COUNTED]
    return {
        kind: (counts[1][kind] - count) / (COUNTED[1] - COUNTED[0])
        for kind, count in counts[0].items()
    }


def bytes_per_step(model: HookedModel, rows: int, length: float) -> float:
    """Bytes that a step must read: every weight once (a table of inputs not), and the cache."""
    hf = model.hf
    tied = hf.get_input_embeddings().weight is hf.get_output_embeddings().weight  # pyright: ignore
    table = 0 if tied else hf.get_input_embeddings().weight.nbytes  # pyright: ignore
    weights = sum(weight.nbytes for weight in hf.parameters()) - table
    return weights + float(kept_bytes(model)) * rows * length
