"""Decisions in which the fitted model's first choice is not the base's."""

from dataclasses import fields

import torch
from torch import Tensor

from hyperinterp.analyses.intervals import context_mean, remaining_share
from hyperinterp.analyses.results import Measured
from hyperinterp.capture import Contexts, paired_logits
from hyperinterp.models import HookedModel
from hyperinterp.study import Study
from probes import Overrides, overrides

CHUNK = 128
DEEP = 10  # base ranks beyond this are the deep tail


def found_overrides(
    base: HookedModel, fitted: HookedModel, contexts: Contexts, bias: Tensor | None = None
) -> Overrides:
    """The greedy choices of both models at every context, compared.

    Args:
        base: the model before.
        fitted: the model after.
        contexts: the decisions.
        bias: added to the base's logits, `[vocab]`.
    """
    parts = []
    for _, ours, theirs in paired_logits(base, fitted, contexts, CHUNK):
        shifted = ours if bias is None else ours + bias.to(ours)
        parts.append(overrides(shifted, theirs))
    names = [item.name for item in fields(Overrides)]
    return Overrides(
        **{name: torch.cat([getattr(part, name).cpu() for part in parts]) for name in names}
    )


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
