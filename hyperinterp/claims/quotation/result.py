"""The result of C8: what is copied from the training text."""

from dataclasses import dataclass

from hyperinterp.claims.spec import Measured, Pair
from hyperinterp.drawing.result import Result


@dataclass(frozen=True)
class CopiedExample:
    """The longest span that one generation shares with the training text."""

    prompt_id: str
    length: int
    text: str
    source_id: str


@dataclass(frozen=True)
class QuotationResult(Result):
    """Copying from the training text.

    Attributes:
        training_passages: number of passages searched.
        n: n-gram length.
        copied_share: share of generated n-grams that occur in the training text.
        longest_span: mean length in tokens of the longest copied span.
        heldout_share: the same share for the true continuations of the held-out passages.
        free_diversity: type-token ratio over the prompts whose generation has no copied n-gram
            in either model.
        blocked_diversity: type-token ratio of greedy text in which no n-gram of the training text
            is completed, on the prompts of the control arms.
        examples: the longest copied spans of the fitted model.
        source: where the training text came from.
    """

    training_passages: int
    n: int
    copied_share: Pair
    longest_span: Pair
    heldout_share: Measured
    free_diversity: Pair
    blocked_diversity: Pair
    examples: tuple[CopiedExample, ...]
    source: str
