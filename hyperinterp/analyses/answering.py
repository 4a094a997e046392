"""Answers of a model to multiple-choice tasks of lm-evaluation-harness."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
from transformers import PreTrainedTokenizerBase

from hyperinterp.analyses.intervals import resampled
from hyperinterp.analyses.reference import Reference, Row
from hyperinterp.claims.spec import Pair, missing
from hyperinterp.text import encoded
from hyperinterp.ticks import Tick
from probes import jackknife, paired_jackknife


@dataclass(frozen=True)
class Answers:
    """The answers of a model to one task.

    Attributes:
        right: 1 for every item that it got right, else 0, `[n_items]`.
        scores: log-likelihood of each candidate of each item, nats.
    """

    right: tuple[float, ...]
    scores: tuple[tuple[float, ...], ...]


def answers(task: Any, reference: Reference, tick: Tick | None = None) -> Answers:
    """Let a model answer the items of one task, as the harness asks and scores them.

    The items are asked without a chat template, with the examples that the task itself names.

    Args:
        task: as `read_tasks` loads it.
        reference: the model, and the tokenizer that reads the items for all models.
        tick: told of the number of different texts read.

    Raises:
        InputRefused: a candidate alone has no place in the model's table of positions.
    """
    asked = questions(task)
    pairs = encoded_pairs(reference.tokenizer, [item.args for item in asked])
    limit = reference.model.position_limit
    if limit is not None:  # what a table of positions has no place for is forgotten first
        pairs = [(prompt[max(0, len(prompt) + len(ids) - limit) :], ids) for prompt, ids in pairs]
    found = [-float(read.nats.sum()) for read in reference.read(pairs, tick=tick)]
    right, scores = [], []
    for _, group in groupby(zip(asked, found, strict=True), key=lambda pair: pair[0].doc_id):
        own = list(group)
        told = task.process_results(own[0][0].doc, [(score, False) for _, score in own])
        right.append(float(told["acc"]))
        scores.append(tuple(score for _, score in own))
    return Answers(tuple(right), tuple(scores))


def questions(task: Any) -> list[Any]:
    """Return the requests of a task, each a context and one candidate, by item."""
    if not getattr(task, "instances", None):  # the harness has none before they are built
        task.build_all_requests(rank=0, world_size=1)
    return sorted(task.instances, key=lambda item: (item.doc_id, item.idx))


def encoded_pairs(
    tokenizer: PreTrainedTokenizerBase, texts: Sequence[tuple[str, str]]
) -> list[tuple[Row, Row]]:
    """Return ids of contexts and of what follows them, cut where the harness cuts them.

    Both are encoded as one text; the context has as many of its ids as it has alone. Spaces at its
    end belong to what follows.

    Args:
        tokenizer: of the model.
        texts: each context and what follows it.
    """
    parts = [(context.rstrip(), context + answer) for context, answer in texts]
    wholes = encoded(tokenizer, [whole for _, whole in parts])
    alone = encoded(tokenizer, [context for context, _ in parts])
    found = []
    for (context, _), whole, own in zip(parts, wholes, alone, strict=True):
        start = len(own) if context else len(whole) - len(_bare(tokenizer, whole))
        found.append((tuple(whole[:start]) or _begin(tokenizer), tuple(whole[start:])))
    return found


def _bare(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> Sequence[int]:
    """The ids without the token that begins every text."""
    return ids[1:] if ids and ids[0] == tokenizer.bos_token_id else ids


def _begin(tokenizer: PreTrainedTokenizerBase) -> Row:
    """The token before an answer to nothing: the begin token, else the end token."""
    known = (tokenizer.bos_token_id, tokenizer.eos_token_id)
    return tuple(token for token in known if isinstance(token, int))[:1]


def over_tasks(base: Sequence[Answers], other: Sequence[Answers]) -> Pair:
    """Return the mean accuracy over tasks of two models, and their paired difference.

    Every task weighs the same; the interval is by item.

    Args:
        base: answers by task.
        other: answers to the same tasks.
    """
    if any(len(item.right) < 2 for item in base):
        gap = missing("a task has fewer than two items")
        return Pair(gap, gap, gap)
    sides = [_left_out([np.array(item.right) for item in side]) for side in (base, other)]
    first, second = (resampled(jackknife, *side, unit="item") for side in sides)
    return Pair(first, second, resampled(paired_jackknife, *sides[0], *sides[1], unit="item"))


def _left_out(tasks: Sequence[np.ndarray]) -> tuple[float, np.ndarray]:
    """The mean of the tasks' means, and what it is with each item of any task left out."""
    means = [item.mean() for item in tasks]
    full = float(np.mean(means))
    left = [
        full + ((item.sum() - item) / (len(item) - 1) - mean) / len(tasks)
        for item, mean in zip(tasks, means, strict=True)
    ]
    return full, np.concatenate(left)
