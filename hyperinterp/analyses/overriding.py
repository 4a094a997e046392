"""Decisions in which the fitted model's first choice is not the base's."""

from torch import Tensor

from hyperinterp.analyses.intervals import context_mean, remaining_share
from hyperinterp.capture import Contexts
from hyperinterp.claims.spec import Measured
from hyperinterp.under_comparison import Study
from probes import Overrides

DEEP = 10  # base ranks beyond this are the deep tail


def text_before(study: Study, contexts: Contexts, index: int, tokens: int = 12) -> str:
    """The last tokens of a context, as text."""
    row = study.heldout.rows.rows[int(contexts.row[index])]
    stop = int(contexts.position[index]) + 1
    return study.heldout.tokenizer.decode(row[max(0, stop - tokens) : stop])


def override_figures(found: Overrides, row: Tensor) -> dict[str, Measured]:
    """Share of overridden decisions, and of those the share from base ranks beyond the top 10."""
    over = found.overridden.float()
    deep = over * (found.base_rank > DEEP)
    return {
        "override_rate": context_mean(over, row),
        "deep_share": remaining_share(deep, over, row),
    }
