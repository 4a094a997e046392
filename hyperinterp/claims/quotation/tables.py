"""Tables of C8: copying, and the longest copied spans."""

from hyperinterp.claims.quotation.result import QuotationResult
from hyperinterp.claims.spec import Pair, missing
from hyperinterp.drawing.escape import clip
from hyperinterp.drawing.numbers import count
from hyperinterp.drawing.table import Table, pairs, table


def tables(result: QuotationResult) -> tuple[Table, ...]:
    """Return the tables, the main one first."""
    none = missing("the true continuations have no model")
    return (
        pairs(
            "quantities",
            f"Against {count(result.training_passages)} passages from {result.source}",
            {
                f"share of copied {result.n}-grams": result.copied_share,
                "longest copied span, tokens": result.longest_span,
                "type-token ratio without copies": result.free_diversity,
                "type-token ratio with copying blocked": result.blocked_diversity,
                f"copied {result.n}-grams in held-out text": Pair(
                    result.heldout_share, none, none
                ),
            },
        ),
        table(
            "examples", "Longest copied spans of the fitted model",
            (
                {
                    "prompt_id": item.prompt_id, "length": item.length, "text": item.text,
                    "source_id": item.source_id,
                }
                for item in result.examples
            ),
            {
                "prompt_id": "prompt", "length": "tokens",
                "text": ("copied text", lambda text: clip(text, 240)),
                "source_id": "training passage",
            },
        ),
    )  # fmt: skip
