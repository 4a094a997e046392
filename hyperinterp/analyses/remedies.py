"""The ordinary remedies against repetition, as ways of decoding that several claims share."""

from hyperinterp.generation import Decoding

TOP_P, MIN_P, PENALTY, NO_REPEAT = 0.95, 0.1, 1.2, 4


def ordinary_remedies(seed: int, rows: tuple[int, ...]) -> tuple[Decoding, ...]:
    """Return what is usually done against repetition, each as an arm of the base.

    Top-p and min-p draw at T = 1; the penalty and the ban on repeated 4-grams are greedy.

    Args:
        seed: of every draw.
        rows: numbers of the prompts.
    """
    return (
        Decoding(f"base, top-p {TOP_P:g}", seed=seed, rows=rows, top_p=TOP_P),
        Decoding(f"base, min-p {MIN_P:g}", seed=seed, rows=rows, min_p=MIN_P),
        Decoding(f"base, repetition penalty {PENALTY:g}", rows=rows, repetition_penalty=PENALTY),
        Decoding(f"base, no {NO_REPEAT}-gram twice", rows=rows, no_repeat=NO_REPEAT),
    )
