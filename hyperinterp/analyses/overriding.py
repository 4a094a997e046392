"""Decisions in which the fitted model's first choice is not the base's."""

from dataclasses import fields

import torch
from torch import Tensor

from hyperinterp.analyses.intervals import context_mean, remaining_share
from hyperinterp.capture import Contexts, over_logits
from hyperinterp.claims.spec import Measured
from hyperinterp.distributed import ALONE, Processes
from hyperinterp.models import HookedModel
from hyperinterp.study import Study
from probes import Overrides, overrides

CHUNK = 128
DEEP = 10  # base ranks beyond this are the deep tail


def found_overrides(
    base: HookedModel,
    fitted: HookedModel,
    contexts: Contexts,
    change: tuple[float, Tensor] | None = None,
    processes: Processes = ALONE,
) -> Overrides:
    """The greedy choices of both models at every context, compared.

    Args:
        base: the model before.
        fitted: the model after.
        contexts: the decisions.
        change: a factor for the base's logits and what is added to them, `[vocab]`.
        processes: the processes that share the contexts.
    """
    names = [item.name for item in fields(Overrides)]

    def each(ours: Tensor, theirs: Tensor) -> list[Tensor]:
        changed = ours if change is None else change[0] * ours + change[1].to(ours)
        found = overrides(changed, theirs)
        return [getattr(found, name).cpu() for name in names]

    parts = over_logits(base, fitted, contexts, each, CHUNK, processes)
    return Overrides(*(torch.cat(column) for column in zip(*parts, strict=True)))


def text_before(study: Study, contexts: Contexts, index: int, tokens: int = 12) -> str:
    """The last tokens of a context, as text."""
    row = study.contexts_rows.rows[int(contexts.row[index])]
    stop = int(contexts.position[index]) + 1
    return study.tokenizer.decode(row[max(0, stop - tokens) : stop])


def override_figures(found: Overrides, row: Tensor) -> dict[str, Measured]:
    """Share of overridden decisions, and of those the share from base ranks beyond the top 10."""
    over = found.overridden.float()
    deep = over * (found.base_rank > DEEP)
    return {
        "override_rate": context_mean(over, row),
        "deep_share": remaining_share(deep, over, row),
    }
