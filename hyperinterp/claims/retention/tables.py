"""Tables of C11: every model by kind of text, and the single passages."""

from collections.abc import Iterator

from hyperinterp.claims.retention.result import RetentionResult, TextScores
from hyperinterp.drawing.table import Cell, Table, pairs, sides, table


def tables(result: RetentionResult) -> tuple[Table, ...]:
    """Return the tables, the main one first."""
    return (
        pairs(
            "accuracy", "Picking the continuation, text of both kinds",
            {f"{role}|share of right picks, {role}": it for role, it in result.accuracy.items()},
            "model",
            note=note(result),
        ),
        table(
            "texts", "By kind of text",
            (line for item in result.texts for line in _lines(item)),
            {
                "text": "text", "model": "model", "accuracy": "share of right picks",
                "loss": "held-out loss", "calibration_error": "calibration error",
                "passages": "passages", "choices": "picks",
            },
        ),
        table(
            "tasks", "Tasks of lm-evaluation-harness",
            (
                {
                    "task": item.task, "version": item.version, "model": item.model,
                    **sides(item.accuracy, "accuracy"), "items": item.items,
                }
                for item in result.tasks
            ),
            {
                "task": "task", "model": "model", "base": "base", "accuracy": "the model",
                "delta": "difference", "items": "items",
            },
        ),
        table(
            "passages", "Picks, passage by passage",
            (
                {
                    "text": item.text, "prompt_id": item.prompt_id, "choices": item.choices,
                    "base": item.base, "fitted": item.fitted,
                }
                for item in result.picks
            ),
        ),
    )  # fmt: skip


def _lines(item: TextScores) -> Iterator[dict[str, Cell]]:
    """A line for each model, and one for what lies between them; the base's only once."""
    sides = {"base": "base", item.model: "fitted", f"{item.model} − base": "delta"}
    for model, side in sides.items():
        if side == "base" and item.model != "fitted":
            continue
        yield {
            "text": item.text, "model": model, "accuracy": getattr(item.accuracy, side),
            "loss": getattr(item.loss, side),
            "calibration_error": getattr(item.calibration_error, side),
            "passages": item.passages, "choices": item.choices, "origin": item.origin,
        }  # fmt: skip


def note(result: RetentionResult) -> str:
    """Return what has to be known to read the values."""
    found = (
        f"{result.candidates} continuations of {result.tokens} tokens, the passage's own and those "
        "of others of its kind; the largest mean log-likelihood per token is the pick. Losses and "
        "calibration stand beside it, without a verdict."
    )
    return f"{found} {result.left_out}".strip()
