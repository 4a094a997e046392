"""How often C10 is right about texts of known quality.

The texts are planted: the human texts themselves, other texts by the same people, the base's own
greedy texts, the base at T = 2, random tokens, the human tokens shuffled, and loops. Tiny random
models by default, where people are the base at T = 1 (loops are left out: such a model does not
expect them); `--real` takes SmolLM2-135M and the held-out passages, and `--twin CKPT` adds the
greedy text of a twin. Writes benchmarks/results/quality.json or quality_real.json.

Usage (from the project's root): python -m benchmarks.quality [--seeds 20] [--real [--twin CKPT]]
"""

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch

from benchmarks import record
from hyperinterp import load
from hyperinterp.analyses.reference import Reading, Reference, Row
from hyperinterp.claims import quality
from hyperinterp.claims.quality.arms import BASE, FITTED, HUMAN
from hyperinterp.claims.quality.counting import Written
from hyperinterp.claims.quality.judging import judged
from hyperinterp.claims.quality.measurement import quantities
from hyperinterp.claims.quality.result import QualityResult
from hyperinterp.claims.spec import Claim, Verdict
from hyperinterp.claims.verdict import judge
from hyperinterp.generation import GREEDY, Decoding, generate
from hyperinterp.models import HookedModel
from hyperinterp.text import TokenRows, builtin_passages, tokenise
from tests.hyperinterp.claims.conftest import hooked, tiny_llama

NO, YES = Verdict.NOT_SUPPORTED, Verdict.SUPPORTED
EXPECTED = {
    "the human texts": YES,
    "other human texts": YES,
    "the base's greedy texts": NO,
    "base at T = 2": NO,
    "random tokens": NO,
    "shuffled human texts": NO,
    "loops": NO,
}
"""What must come out, by what is handed in as the fitted model's texts."""

Texts = tuple[Row, ...]


@dataclass(frozen=True)
class World:
    """A reference, prompts, and texts after them.

    Attributes:
        model: the base, which is the reference.
        prompts: what is continued.
        human: what people wrote.
        base: the base's greedy texts.
        planted: texts of known quality, by what they are.
    """

    model: HookedModel
    prompts: tuple[Row, ...]
    human: Texts
    base: Texts
    planted: Mapping[str, Texts]


def noisy(human: Texts, vocabulary: int, seed: int) -> dict[str, Texts]:
    """Random tokens and shuffled human texts, each text as long as the human one."""
    draw = random.Random(seed)
    return {
        "random tokens": tuple(tuple(draw.randrange(vocabulary) for _ in row) for row in human),
        "shuffled human texts": tuple(tuple(draw.sample(row, len(row))) for row in human),
    }


def tiny_world(seed: int, prompts: int = 24, tokens: int = 24) -> World:
    """A tiny random model; people are its own draws at T = 1."""
    model, draw = hooked(tiny_llama(seed), f"tiny-{seed}"), random.Random(seed)
    rows = tuple(tuple(draw.randrange(model.vocab_size) for _ in range(6)) for _ in range(prompts))
    arms = [GREEDY, *(Decoding(str(k), seed=seed + k) for k in (1, 2)), Decoding("hot", 2.0, seed)]
    given = TokenRows(rows, tuple(range(prompts)), 6, 0)
    found = {k: item.rows for k, item in generate(model, given, arms, new_tokens=tokens).items()}
    human, base = found["1"], found[GREEDY.name]
    return World(
        model, rows, human, base,
        {
            "the human texts": human, "other human texts": found["2"],
            "the base's greedy texts": base, "base at T = 2": found["hot"],
            **noisy(human, model.vocab_size, seed),
        },
    )  # fmt: skip


def real_world(prompts: int, tokens: int, twin: str | None) -> World:
    """SmolLM2 and the held-out passages; the twin's greedy texts beside those that are planted."""
    model = load("smollm2", device="cpu")
    passages = builtin_passages("heldout").head(prompts)
    rows = tokenise(model.tokenizer, passages, 32 + tokens, open_end=True)
    opening = rows.openings(32)
    arms = [GREEDY, Decoding("hot", 2.0, seed=0)]
    found = generate(model, opening, arms, new_tokens=tokens)
    human = tuple(row[32:] for row in rows.rows)
    base = found[GREEDY.name].rows
    planted = {
        "the human texts": human, "the base's greedy texts": base,
        "base at T = 2": found["hot"].rows, **noisy(human, model.vocab_size, 0),
        "loops": tuple((row[:8] * len(row))[: len(row)] for row in base),
    }  # fmt: skip
    if twin is not None:
        fitted = load(twin, base="smollm2", base_if_adapter=True, device="cpu")
        planted["the twin"] = generate(fitted, opening, new_tokens=tokens)[GREEDY.name].rows
    return World(model, opening.rows, human, base, planted)


class Remembering(Reference):
    """A reference that reads no text twice."""

    @cached_property
    def _known(self) -> dict[tuple[Row, Row], Reading]:
        return {}

    def read(self, pairs: Sequence[tuple[Row, Row]], **more: Any) -> list[Reading]:
        """Read what was not read before."""
        new = [pair for pair in dict.fromkeys(pairs) if pair not in self._known]
        self._known.update(zip(new, super().read(new, **more), strict=True))
        return [self._known[pair] for pair in pairs]


def verdict_of(world: World, reference: Reference, texts: Texts) -> tuple[QualityResult, Claim]:
    """Judge texts as if they were the fitted model's."""
    every = tuple(range(len(world.prompts)))
    given = {HUMAN: world.human, BASE: world.base, FITTED: texts}
    result = judged(
        reference,
        world.prompts,
        {name: Written(every, rows) for name, rows in given.items()},
        window=max(map(len, world.human)),
    )
    return result, judge(quality.CLAIM, quantities(result))


def row_of(result: QualityResult, claim: Claim) -> dict[str, Any]:
    """What is kept of one verdict."""
    values = {item.source: item for item in result.texts}
    return {
        "verdict": str(claim.verdict),
        "conditions": [
            {"value": item.measured.value, "lo": item.measured.lo, "hi": item.measured.hi,
             "outcome": str(item.outcome)}
            for item in claim.conditions
        ],
        "fresh": values[FITTED].fresh.value,
        "human fresh": values[HUMAN].fresh.value,
        "type-token ratio": values[FITTED].ttr.value,
    }  # fmt: skip


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Right, undecided and wrong verdicts by kind of text."""
    table: dict[str, Any] = {}
    for kind in dict.fromkeys(row["kind"] for row in rows):
        counts = Counter(row["verdict"] for row in rows if row["kind"] == kind)
        table[kind] = {"verdicts": dict(counts)}
        if kind in EXPECTED:
            right, undecided = counts[EXPECTED[kind]], counts[Verdict.INCONCLUSIVE]
            wrong = sum(counts.values()) - right - undecided
            table[kind] |= {"right": right, "undecided": undecided, "wrong": wrong}
    return table


def main() -> None:
    """Run, write and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20, help="tiny models")
    parser.add_argument("--real", action="store_true", help="smollm2 and the held-out passages")
    parser.add_argument("--prompts", type=int, default=24, help="prompts, with --real")
    parser.add_argument("--tokens", type=int, default=64, help="tokens of a text, with --real")
    parser.add_argument("--twin", help="a twin of smollm2, with --real")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    start = time.perf_counter()
    rows = []
    for seed in range(1 if given.real else given.seeds):
        world = (
            real_world(given.prompts, given.tokens, given.twin) if given.real else tiny_world(seed)
        )
        reference = Remembering(world.model, world.model.tokenizer)
        for kind, texts in world.planted.items():
            found = verdict_of(world, reference, texts)
            rows.append({"kind": kind, "seed": seed, **row_of(*found)})
            print(kind, seed, rows[-1]["verdict"], file=sys.stderr)
    figures = {
        "seconds": round(time.perf_counter() - start), "kinds": summary(rows), "texts": rows,
    }  # fmt: skip
    record.write("quality_real" if given.real else "quality", figures, given.threads)
    for kind, counts in figures["kinds"].items():
        print(kind, counts)


if __name__ == "__main__":
    main()
