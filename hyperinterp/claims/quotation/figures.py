"""C8: copying from the training text."""

from hyperinterp.claims.quotation import CLAIM
from hyperinterp.claims.quotation.result import QuotationResult
from hyperinterp.drawing.chart import Chart, Choice, dots
from hyperinterp.drawing.numbers import short
from hyperinterp.drawing.sketch import Sketch
from hyperinterp.drawing.subtitle import behind
from hyperinterp.drawing.theme import (
    BASE,
    FITTED,
    MUTED,
)
from hyperinterp.drawing.words import explained


def copying(block: QuotationResult, quantity: str) -> Sketch:
    """Copied share, longest span, or diversity without copies, for both models."""
    words = {
        "copied_share": f"share of generated {block.n}-grams in the training text",
        "longest_span": "longest copied span, tokens",
        "free_diversity": "type-token ratio of generations without a copied n-gram",
        "blocked_diversity": "type-token ratio with copying blocked",
    }
    pair = getattr(block, quantity)
    rows = [("base", pair.base, BASE), ("fitted", pair.fitted, FITTED)]
    if quantity == "copied_share":
        rows.append(("held-out text itself", block.heldout_share, MUTED))
    figure = Sketch(words[quantity])
    for row, (name, item, colour) in enumerate(rows):
        drawn = dots([row], [item], name, colour, [""], showlegend=False)
        below = drawn["error_x"]["arrayminus"]
        drawn["error_x"]["arrayminus"] = [w and min(w, max(item.value or 0.0, 0.0)) for w in below]
        figure.data.append(drawn)
    most = max([0.0, *(item.hi or item.value or 0.0 for _, item, _ in rows)])
    if quantity == "copied_share" and pair.base.value is not None:
        needed = pair.base.value + CLAIM.rule.criteria[0].threshold
        most = max(most, needed)
        figure.level(needed, f"base + {short(CLAIM.rule.criteria[0].threshold)}", vertical=True)
    figure.rows([name for name, _, _ in rows])
    figure.xaxis(range=[-0.02 * most, 1.12 * most], zeroline=False)
    figure.sample = behind(item for _, item, _ in rows)
    return figure


def charts(block: QuotationResult) -> tuple[Chart, ...]:
    """The charts of C8."""
    options = (
        ("copied_share", f"copied {block.n}-grams"),
        ("longest_span", "longest span"),
        ("free_diversity", "diversity without copies"),
        ("blocked_diversity", "with copying blocked"),
    )
    return (
        Chart(
            "copying",
            *explained(__package__, "copying", training_passages=block.training_passages),
            lambda key: copying(block, key), (Choice("quantity", "Quantity", options),), height=210,
        ),
    )  # fmt: skip
