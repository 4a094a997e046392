"""Tables of C1: the scores, and the single prompts."""

from hyperinterp.claims.diversity.result import DiversityResult
from hyperinterp.drawing.names import measure_name
from hyperinterp.drawing.table import Table, pairs, table, values


def tables(result: DiversityResult) -> tuple[Table, ...]:
    """Return the tables, the main one first."""
    return (
        pairs(
            "scores",
            f"Scores of the last {result.window} generated ids",
            {f"{key}|{measure_name(key)}": pair for key, pair in result.scores.items()},
            note=f"Over {result.rule}.",
        ),
        values("human", "What people wrote", {"type-token ratio, the ceiling": result.human}),
        table(
            "prompts", "Diversity, prompt by prompt",
            (
                {
                    "prompt_id": item.prompt_id,
                    "base_ttr": item.base_ttr, "fitted_ttr": item.fitted_ttr,
                    "base_rep_4": item.base_rep_4, "fitted_rep_4": item.fitted_rep_4,
                    "base_ended": item.base.ended, "fitted_ended": item.fitted.ended,
                    "prompt": item.prompt, "base": item.base.text, "fitted": item.fitted.text,
                }
                for item in result.prompts
            ),
        ),
    )  # fmt: skip
