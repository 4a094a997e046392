"""The ways of writing that stand beside greedy text, and what they are called."""

from hyperinterp.analyses.remedies import ordinary_remedies
from hyperinterp.generation import Decoding

HUMAN, BASE, FITTED = "human", "base greedy", "fitted greedy"
HALVES = ("human, one half", "human, other half")
TOO_HOT = 1.5
TEMPERATURES = (1.0, TOO_HOT, 2.0)


def hot(temperature: float) -> str:
    """Return the name of the base drawn at a temperature."""
    return f"base, T = {temperature:g}"


def remedies(seed: int, rows: tuple[int, ...]) -> tuple[Decoding, ...]:
    """Return temperatures and the ordinary remedies against repetition, as arms of the base.

    Args:
        seed: of every draw.
        rows: numbers of the prompts.
    """
    return (
        *(Decoding(hot(t), t, seed, rows=rows) for t in TEMPERATURES),
        *ordinary_remedies(seed, rows),
    )
