"""The human continuations of the prompts: the ceiling of generated text."""

from hyperinterp.generation import Generated
from hyperinterp.under_comparison import Study


def human_text(study: Study) -> Generated:
    """Return the true continuation of every prompt, as long as a generated one at most.

    It is as long as `context_tokens` leaves it, and may be empty.
    """
    longest = study.sizes.new_tokens
    pairs = zip(study.heldout.rows.rows, study.heldout.prompts.rows, strict=True)
    rows = tuple(row[len(prompt) :][:longest] for row, prompt in pairs)
    return Generated(rows, (False,) * len(rows))
