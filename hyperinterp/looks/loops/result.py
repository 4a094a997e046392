"""The result of the look at loops: repetition by turn, ways out, diversity by length."""

from dataclasses import dataclass

from hyperinterp.brief import Brief
from hyperinterp.claims.spec import Measured, Pair
from hyperinterp.drawing.result import Result


@dataclass(frozen=True)
class Turn(Brief):
    """A span of human text after as many copies of itself.

    Attributes:
        copies: how often the span stands before, directly after the prompt.
        probability: mean probability that a model gives to the span's tokens.
        chosen: share of them that are the model's greedy choice.
    """

    copies: int
    probability: Pair
    chosen: Pair


@dataclass(frozen=True)
class WayOut(Brief):
    """Loops of one model's greedy text, cut after their second turn and continued greedily.

    Attributes:
        of: role of the model whose text ends in the loops.
        by: role of the model that goes on.
        prompts: how many texts ended in a loop.
        left: share of them in which the continuation breaks the loop.
        free: share in which the continuation ends in no loop at all.
        example: the end of one loop and what came after it.
    """

    of: str
    by: str
    prompts: int
    left: Measured
    free: Measured
    example: str


@dataclass(frozen=True)
class Length(Brief):
    """Diversity of the first ids of long greedy texts.

    Attributes:
        tokens: how many ids.
        ttr: their type-token ratio; of the texts that are as long.
    """

    tokens: int
    ttr: Pair


@dataclass(frozen=True)
class LoopsResult(Result):
    """Loops of a pair.

    Attributes:
        span: ids in the span that is copied.
        turns: by the number of copies before; none where no passage is long enough.
        written: ids that a loop is continued for.
        looping: share of each model's greedy texts that end in a loop.
        ways: both models out of both models' loops.
        lengths: by the number of ids.
        texts: long texts of each model.
        why: why a part is not there, by its name.
    """

    span: int
    turns: tuple[Turn, ...]
    written: int
    looping: Pair
    ways: tuple[WayOut, ...]
    lengths: tuple[Length, ...]
    texts: int
    why: dict[str, str]
