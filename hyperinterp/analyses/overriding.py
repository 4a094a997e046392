"""Decisions in which the fitted model's first choice is not the base's."""

from dataclasses import fields

import torch
from torch import Tensor

from hyperinterp.capture import Contexts, paired_logits
from hyperinterp.study import Study
from probes import Overrides, overrides

CHUNK = 128


def found_overrides(study: Study, contexts: Contexts, bias: Tensor | None = None) -> Overrides:
    """Every decision of both models, compared.

    Args:
        study: the comparison.
        contexts: the decisions.
        bias: added to the base's logits, `[vocab]`.
    """
    parts = []
    for _, ours, theirs in paired_logits(study.base, study.fitted, contexts, CHUNK):
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
