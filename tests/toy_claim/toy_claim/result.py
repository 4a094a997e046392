"""The result of T1."""

from dataclasses import dataclass

from hyperinterp.claims.spec import Pair
from hyperinterp.drawing.result import Result


@dataclass(frozen=True)
class LengthResult(Result):
    """How long greedy texts are.

    Attributes:
        tokens: mean length of both models' texts, and their paired difference.
    """

    tokens: Pair
