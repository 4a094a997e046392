"""Text for models that run many times over it: few contexts, close together."""

from collections.abc import Iterable
from dataclasses import replace

from hyperinterp.text import TokenRows
from hyperinterp.under_comparison import Study

CONTEXTS = 16  # per passage at most: passages, not contexts, make the intervals narrow
TOKENS_PER_CONTEXT = 2  # tokens between contexts cost every run and tell nothing


def contexts_per_passage(study: Study) -> int | None:
    """Return the most decisions of each passage that are looked at; None for all of them."""
    wanted = study.sizes.contexts_per_prompt
    return None if wanted is None else min(wanted, CONTEXTS)


def shortened(study: Study, numbers: Iterable[int]) -> TokenRows:
    """These passages, cut to two tokens per context that is looked at."""
    rows, count = study.heldout.rows.chosen(numbers), contexts_per_passage(study)
    length = rows.length if count is None else max(4, TOKENS_PER_CONTEXT * count)
    kept = tuple(row[:length] for row in rows.rows)
    return replace(rows, rows=kept, length=min(length, rows.length))
