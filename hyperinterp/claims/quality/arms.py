"""The ways of writing that stand beside greedy text, and what they are called."""

from hyperinterp.generation import Decoding

HUMAN, BASE, FITTED = "human", "base greedy", "fitted greedy"
HALVES = ("human, one half", "human, other half")
TOO_HOT = 1.5
TEMPERATURES = (1.0, TOO_HOT, 2.0)
TOP_P, MIN_P, PENALTY, NO_REPEAT = 0.95, 0.1, 1.2, 4


def hot(temperature: float) -> str:
    """Return the name of the base drawn at a temperature."""
    return f"base, T = {temperature:g}"


def remedies(seed: int, rows: tuple[int, ...]) -> tuple[Decoding, ...]:
    """Return what is usually done against repetition, each as an arm of the base.

    Top-p and min-p draw at T = 1; the penalty and the ban on repeated 4-grams are greedy.

    Args:
        seed: of every draw.
        rows: numbers of the prompts.
    """
    return (
        *(Decoding(hot(t), t, seed, rows=rows) for t in TEMPERATURES),
        Decoding(f"base, top-p {TOP_P:g}", seed=seed, rows=rows, top_p=TOP_P),
        Decoding(f"base, min-p {MIN_P:g}", seed=seed, rows=rows, min_p=MIN_P),
        Decoding(f"base, repetition penalty {PENALTY:g}", rows=rows, repetition_penalty=PENALTY),
        Decoding(f"base, no {NO_REPEAT}-gram twice", rows=rows, no_repeat=NO_REPEAT),
    )
