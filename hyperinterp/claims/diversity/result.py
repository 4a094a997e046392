"""The result of C1: how diverse greedy text is, with both models' text side by side."""

from dataclasses import dataclass

from hyperinterp.brief import Brief
from hyperinterp.claims.spec import Measured, Pair, missing
from hyperinterp.drawing.result import Result

UNKNOWN = missing("what follows the prompts was not read")


@dataclass(frozen=True)
class Generation(Brief):
    """The text that one model generated after one prompt.

    Attributes:
        text: the generation, decoded.
        pieces: the same, token by token.
        repeated: [start, stop) token spans that occurred earlier in the generation.
        copied: [start, stop) token spans of 8 or more tokens that occur in the training text;
            empty when the training text is not known.
        ended: whether the model ended the text itself before the limit.
    """

    text: str
    pieces: tuple[str, ...]
    repeated: tuple[tuple[int, int], ...]
    copied: tuple[tuple[int, int], ...]
    ended: bool


@dataclass(frozen=True)
class SideBySide(Brief):
    """Both models on one prompt, with the scores of the window."""

    prompt_id: str
    prompt: str
    base: Generation
    fitted: Generation
    base_ttr: float | None
    fitted_ttr: float | None
    base_rep_4: float | None
    fitted_rep_4: float | None


@dataclass(frozen=True)
class DiversityResult(Result):
    """Diversity of greedy text, base against fitted, on the same held-out prompts.

    Attributes:
        window: number of last generated ids that are scored.
        new_tokens: ids generated at most per prompt.
        scores: per measure (ttr, distinct_2, distinct_3, rep_2, rep_3, rep_4; tokens, the
            length before any cut; self_bleu): means over prompts and their paired difference.
        prompts: every prompt with both generations.
        rule: which sequences are scored, and how padding and short ones are treated.
        human: type-token ratio of what really follows the prompts, cut to the same lengths: the
            ceiling.
    """

    window: int
    new_tokens: int
    scores: dict[str, Pair]
    prompts: tuple[SideBySide, ...]
    rule: str
    human: Measured = UNKNOWN
