"""Choices between a passage's own continuation and those of other passages."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hyperinterp.analyses.reference import Reference, Row
from hyperinterp.ticks import Tick

CANDIDATES = 4
TOKENS = 16
CHANCE = 1 / CANDIDATES
_EQUAL = 1e-6
"""Mean log-likelihoods up to this apart are one: rounding picks no continuation."""


@dataclass(frozen=True)
class Choice:
    """One continuation to be picked.

    Attributes:
        passage: number of the passage.
        opening: its ids up to the continuation.
        candidates: continuations of one length, its own first.
    """

    passage: int
    opening: Row
    candidates: tuple[Row, ...]


def choices_of(rows: Sequence[Row], starts: Sequence[int], most: int, seed: int) -> list[Choice]:
    """Return the choices that passages give, each with the continuations of three others.

    The first continuation begins where the prompt ends, the next where that one ends. The others
    are what stands at the same place, counted from the end of the prompt, in the passages that
    follow in an order drawn once.

    Args:
        rows: ids of the passages.
        starts: length of each passage's prompt.
        most: choices per passage at most.
        seed: of the order.
    """
    order = list(range(len(rows)))
    random.Random(seed).shuffle(order)
    found: list[Choice] = []
    for turn in range(most):
        parts = {
            number: rows[number][starts[number] + turn * TOKENS :][:TOKENS] for number in order
        }
        full = [number for number in order if len(parts[number]) == TOKENS]
        if len(full) < CANDIDATES:
            break
        for place, number in enumerate(full):
            rest = full[place + 1 :] + full[:place]
            others = [rest[(turn + step) % len(rest)] for step in range(CANDIDATES - 1)]
            opening = rows[number][: starts[number] + turn * TOKENS]
            found.append(Choice(number, opening, tuple(parts[k] for k in (number, *others))))
    return found


def right(reference: Reference, choices: Sequence[Choice], tick: Tick | None = None) -> np.ndarray:
    """Return how often a model picks the passage's own continuation, `[n_choices]` in [0, 1].

    It picks the largest mean log-likelihood per token; of several that are equal, one at random,
    which counts as its chance of being right.

    Args:
        reference: the model.
        choices: what it picks from.
        tick: told of the number of different texts read.
    """
    pairs = [(item.opening, candidate) for item in choices for candidate in item.candidates]
    means = np.array([-float(read.nats.mean()) for read in reference.read(pairs, tick=tick)])
    scores = means.reshape(-1, CANDIDATES)
    best = scores >= scores.max(axis=1, keepdims=True) - _EQUAL
    return best[:, 0] / best.sum(axis=1)


def by_passage(values: np.ndarray, choices: Sequence[Choice]) -> dict[int, float]:
    """Return the mean over the choices of each passage, by its number."""
    own: dict[int, list[float]] = {}
    for value, item in zip(values, choices, strict=True):
        own.setdefault(item.passage, []).append(float(value))
    return {number: float(np.mean(found)) for number, found in sorted(own.items())}
