"""Scores of generated text, per prompt, shared by the claims that compare texts."""

from collections.abc import Sequence

import numpy as np

from hyperinterp.analyses.intervals import mean_of
from hyperinterp.claims.spec import Measured
from hyperinterp.generation import Generated
from probes import DiversityScores, diversity_scores, generated_window

MIN_TOKENS = 16
RULE = (
    "the last {window} generated tokens of each prompt, cut at the first end token so that "
    "padding never counts, and before that to the length of the shortest of the texts compared, "
    "since a short text repeats itself less; a prompt whose text is shorter than "
    f"{MIN_TOKENS} tokens in any of the texts compared is left out of that comparison"
)


def window_scores(written: Generated, window: int) -> DiversityScores:
    """Scores of the last `window` generated tokens of each generation."""
    rows = [generated_window(row, window=window) for row in written.rows]
    return diversity_scores(rows, min_length=MIN_TOKENS)


def compared(window: int, *texts: Generated) -> tuple[DiversityScores, ...]:
    """Scores of several texts of the same prompts, each prompt's cut to the shortest first."""
    shortest = [min(map(len, rows)) for rows in zip(*(text.rows for text in texts), strict=True)]
    return tuple(
        window_scores(
            Generated(
                tuple(row[:length] for row, length in zip(text.rows, shortest, strict=True)),
                text.ended,
            ),
            window,
        )
        for text in texts
    )


def together(*scores: DiversityScores) -> np.ndarray:
    """Prompts that are defined in every one of these texts, `[n_prompts]` bool."""
    return np.logical_and.reduce([item.defined.numpy() for item in scores])


def values(scores: DiversityScores, name: str, keep: np.ndarray) -> np.ndarray:
    """One score of the prompts in `keep`, float64."""
    return getattr(scores, name).numpy()[keep].astype(np.float64)


def over_seeds(scores: Sequence[DiversityScores], name: str, keep: np.ndarray) -> np.ndarray:
    """One score per prompt in `keep`, averaged over seeds, so that the prompt stays the unit."""
    return np.mean([values(item, name, keep) for item in scores], axis=0)


def mean_score(scores: Sequence[DiversityScores], name: str) -> Measured:
    """Mean over the prompts that are defined under every seed, with its interval."""
    return mean_of(over_seeds(scores, name, together(*scores)))
