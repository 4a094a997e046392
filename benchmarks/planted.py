"""How often the verdicts are right: pairs that differ by one known change, many seeds.

For every kind of change, the claims that theory decides are held against what must come out:
right, undecided or wrong, with a 95 % Wilson interval for the rate of wrong ones. Tiny random
models of two families in turn by default; `--real` plants the changes in SmolLM2-135M instead.
Writes benchmarks/results/planted.json or planted_real.json after every pair; with `--resume`, pairs
that are there with all their claims are taken from it.

Usage (from the project's root):
    python -m benchmarks.planted [--seeds 20] [--real] [--kinds ...] [--resume]
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import sqrt
from typing import Any

import torch

from benchmarks import record
from hyperinterp import load
from hyperinterp.claims import registry
from hyperinterp.claims.running import evaluated
from hyperinterp.claims.spec import Claim, Verdict
from hyperinterp.models import HookedModel
from hyperinterp.runs import RunContext
from hyperinterp.sizes import PRESETS, Sizes
from hyperinterp.text import Passage, Passages, builtin_passages
from hyperinterp.under_comparison import Study
from tests.hyperinterp.claims.conftest import SIZES, VOCAB, word_tokenizer
from tests.hyperinterp.claims.planted import CHANGES, flatten, make_room, planted_twin, settle
from tests.hyperinterp.claims.surgery import SETTLED, operated, settled
from tests.hyperinterp.claims.tiny import tiny

FAMILIES = ("llama", "gpt_neox")
CLAIMS = ("C1", "C2", "C3", "C4", "C5", "C6")
NO, YES = Verdict.NOT_SUPPORTED, Verdict.SUPPORTED

EXPECTED: dict[str, dict[str, Verdict]] = {
    "itself": dict.fromkeys((*CLAIMS, "C12"), NO),
    "noise": dict.fromkeys(CLAIMS, NO),
    "temperature": {"C1": NO, "C2": NO, "C4": NO, "C5": NO, "C6": NO, "C12": NO},
    "static bias": {"C3": NO, "C4": NO, "C5": NO, "C6": NO, "C12": NO},
    "temperature and bias": {"C4": NO, "C5": NO, "C6": NO, "C12": NO},
    "first block": {"C6": NO},
    "middle block": {"C6": NO},
    "last block": {"C6": YES},
    "middle expansion": {"C5": NO},
    "last expansion": {"C5": YES},
    "loop broken": {"C1": YES, "C3": YES, "C4": YES, "C6": YES},
    "carried expansion": {"C12": YES},
    "invisible expansion": {"C12": NO},
    "reordering": {"C12": NO},
}
"""What theory decides: the verdict that must come out, by kind and claim."""

PLACES = {
    "first block": ("C6", lambda layers: 0),
    "middle block": ("C6", lambda layers: layers // 2),
    "last block": ("C6", lambda layers: layers - 1),
    "middle expansion": ("C5", lambda layers: layers // 2),
    "last expansion": ("C5", lambda layers: layers - 1),
    "loop broken": ("C6", lambda layers: layers - 1),
}
"""Which block an analysis has to name, whatever its verdict."""

ROOMY = ("carried expansion", "invisible expansion", "reordering")
"""Kinds whose tiny base uses half of its dimensions; on the real model, weight surgery."""

REAL_CLAIMS = {
    "itself": ("C1", "C4", "C5", "C6"),
    "temperature": ("C2", "C4", "C5"),
    "static bias": ("C3", "C4", "C5"),
    "temperature and bias": ("C4",),
    "middle block": ("C6",),
    "last block": ("C6",),
    "middle expansion": ("C5",),
    "last expansion": ("C5",),
    "carried expansion": ("C12",),
    "invisible expansion": ("C12",),
    "reordering": ("C12",),
}
"""What is asked of each kind on the real model; the noise kind is left out there for time."""


@dataclass(frozen=True)
class Outcome:
    """One planted pair, judged.

    Attributes:
        kind: the change.
        family: the model.
        seed: of weights, text and change.
        verdicts: verdict by claim.
        effects: effect by claim.
        named: whether the analysis named the changed block; None when there is none to name.
    """

    kind: str
    family: str
    seed: int
    verdicts: dict[str, str]
    effects: dict[str, float | None]
    named: bool | None


def random_words(seed: int, count: int = 16, length: int = 24) -> Passages:
    """Passages of random words of the tiny tokenizer."""
    draw = torch.Generator().manual_seed(seed)
    numbers = torch.randint(VOCAB, (count, length), generator=draw).tolist()
    texts = (" ".join(f"w{number}" for number in row) for row in numbers)
    return Passages(tuple(Passage(str(n), text) for n, text in enumerate(texts)), f"words {seed}")


def judged(study: Study, kind: str, claims: tuple[str, ...]) -> Outcome:
    """Run the analyses of `claims` on a planted pair."""
    found: dict[str, Claim] = {}
    blocks: dict[str, Any] = {}
    for spec in registry.chosen(claims):
        blocks[spec.id], found[spec.id] = evaluated(spec, study)
    named = None
    if kind in PLACES and PLACES[kind][0] in blocks:
        claim, place = PLACES[kind]
        where = place(study.base.n_layers)
        named = blocks[claim].largest_block in (where, f"resid.{where}")
    return Outcome(
        kind=kind,
        family=study.base.anatomy.family,
        seed=study.run.seed,
        verdicts={claim: str(result.verdict) for claim, result in found.items()},
        effects={claim: result.effect for claim, result in found.items()},
        named=named,
    )


def tiny_study(kind: str, family: str, seed: int) -> Study:
    """A planted pair of tiny random models, with the sizes of the unit tests."""
    base = tiny(family, word_tokenizer(), seed)
    if kind in ("middle expansion", "last expansion"):
        flatten(base)
    if kind == "loop broken" or kind in ROOMY:
        settle(base)
    if kind in ROOMY:
        make_room(base, blind=kind == "invisible expansion")
    return Study(
        base,
        planted_twin(base, kind, seed + 1),
        random_words(seed),
        sizes=SIZES,
        run=RunContext(seed=seed),
    )


def real_study(base: HookedModel, kind: str, seed: int, sizes: Sizes) -> Study:
    """A planted pair on a pretrained model and the held-out passages."""
    if kind in ROOMY:
        texts = builtin_passages("train").head(12).texts
        base = settled(base, texts) if kind in SETTLED else base
        twin = operated(base, kind, texts, seed + 1)
    else:
        twin = planted_twin(base, kind, seed + 1)
    return Study(
        base,
        twin,
        builtin_passages("heldout"),
        sizes=sizes,
        run=RunContext(seed=seed),
    )


def rate(wrong: int, n: int) -> dict[str, float | int]:
    """A share with its 95 % Wilson interval."""
    z = 1.959963985
    middle = (wrong + z * z / 2) / (n + z * z)
    half = z * sqrt(wrong * (n - wrong) / n + z * z / 4) / (n + z * z)
    return {
        "value": wrong / n,
        "lo": round(max(0.0, middle - half), 4),
        "hi": round(min(1.0, middle + half), 4),
        "n": n,
    }


def summary(outcomes: list[Outcome]) -> dict[str, Any]:
    """Right, undecided and wrong verdicts by kind and claim, and over all."""
    table: dict[str, Any] = {}
    total: Counter[str] = Counter()
    for kind in dict.fromkeys(outcome.kind for outcome in outcomes):
        mine = [outcome for outcome in outcomes if outcome.kind == kind]
        claims = dict.fromkeys(claim for outcome in mine for claim in outcome.verdicts)
        row: dict[str, Any] = {}
        for claim in claims:
            counts = Counter(outcome.verdicts[claim] for outcome in mine)
            row[claim] = {"verdicts": dict(counts)}
            if wanted := EXPECTED[kind].get(claim):
                right, open_ = counts[wanted], counts[Verdict.INCONCLUSIVE]
                judgement = {
                    "right": right,
                    "undecided": open_,
                    "wrong": sum(counts.values()) - right - open_,
                }
                row[claim] |= {"expected": str(wanted), **judgement}
                total.update(judgement)
        if any(outcome.named is not None for outcome in mine):
            row["names the block"] = rate(sum(bool(o.named) for o in mine), len(mine))
        table[kind] = row
    judged_in_all = total["right"] + total["undecided"] + total["wrong"]
    return {
        "kinds": table,
        "all": {**total, "rate of wrong verdicts": rate(total["wrong"], judged_in_all)},
    }


def shown(found: dict[str, Any]) -> str:
    """The summary as lines of text."""
    lines = [f"{'kind':18} {'claim':5} {'expected':14} right undecided wrong"]
    for kind, row in found["kinds"].items():
        for claim, cell in row.items():
            if "expected" in cell:
                lines.append(
                    f"{kind:18} {claim:5} {cell['expected']:14} {cell['right']:5d} "
                    f"{cell['undecided']:9d} {cell['wrong']:5d}"
                )
        if "names the block" in row:
            named = row["names the block"]
            lines.append(f"{kind:18} names the block: {named['value']:.0%} of {named['n']}")
    return "\n".join([*lines, f"all: {found['all']}"])


def earlier(name: str) -> dict[tuple[str, int], Outcome]:
    """Pairs of the results file, by kind and seed."""
    if not (record.RESULTS / f"{name}.json").is_file():
        return {}
    found = (Outcome(**pair) for pair in record.read(name)["pairs"])
    return {(outcome.kind, outcome.seed): outcome for outcome in found}


def run(
    given: argparse.Namespace,
    known: Mapping[tuple[str, int], Outcome] | None = None,
    keep: Callable[[list[Outcome]], None] | None = None,
) -> list[Outcome]:
    """Judge every planted pair that was asked for.

    Args:
        given: the options.
        known: pairs that are judged already; those without all their claims are judged again.
        keep: called with all pairs so far after each new one.
    """
    known = known or {}
    claims = {
        kind: REAL_CLAIMS[kind] if given.real else tuple(EXPECTED[kind]) for kind in given.kinds
    }
    every = {
        key: outcome
        for key, outcome in known.items()
        if set(claims.get(key[0], ())) <= set(outcome.verdicts)
    }
    asked = [(kind, seed) for kind in claims for seed in range(given.seeds)]
    todo = [key for key in asked if key not in every]
    real = load("smollm2", device="cpu") if given.real and todo else None
    sizes = replace(PRESETS["quick"], prompts=given.prompts)
    for kind, seed in todo:
        start = time.perf_counter()
        if real is None:
            study = tiny_study(kind, FAMILIES[seed % len(FAMILIES)], seed)
        else:
            study = real_study(real, kind, seed, sizes)
        every[kind, seed] = judged(study, kind, claims[kind])
        took = f"{time.perf_counter() - start:.0f} s"
        print(kind, seed, every[kind, seed].verdicts, took, file=sys.stderr)
        if keep is not None:
            keep(list(every.values()))
    order = list(CHANGES)
    return sorted(every.values(), key=lambda item: (order.index(item.kind), item.seed))


def main() -> None:
    """Run, write and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20, help="seeds per kind")
    parser.add_argument("--real", action="store_true", help="plant the changes in smollm2")
    parser.add_argument("--prompts", type=int, default=24, help="prompts, with --real")
    parser.add_argument("--kinds", nargs="+", choices=tuple(CHANGES), default=None)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--resume", action="store_true", help="go on from the results file")
    given = parser.parse_args()
    given.kinds = given.kinds or list(REAL_CLAIMS if given.real else EXPECTED)
    torch.set_num_threads(given.threads)
    name = "planted_real" if given.real else "planted"
    known = earlier(name) if given.resume else {}
    spent = float(record.read(name)["seconds"]) if known else 0.0
    start = time.perf_counter()

    def keep(outcomes: list[Outcome]) -> None:
        figures = {
            "seeds": given.seeds,
            "seconds": round(spent + time.perf_counter() - start),
            **summary(outcomes),
            "pairs": [vars(outcome) for outcome in outcomes],
        }
        record.write(name, figures, given.threads)

    outcomes = run(given, known, keep)
    keep(outcomes)
    print(shown(summary(outcomes)))


if __name__ == "__main__":
    main()
