"""Tables of C13: the margin, every twin, and what the intervals rest on."""

from hyperinterp.claims.placement.result import PlacementResult
from hyperinterp.drawing.numbers import compact
from hyperinterp.drawing.table import Table, table, values


def tables(result: PlacementResult) -> tuple[Table, ...]:
    """Return the tables, the main one first."""
    return (
        values(
            "quantities", f"The last blocks against {result.best}",
            {
                "type-token ratio, last blocks minus the best other placement": result.margin,
                "type-token ratio, last blocks minus the base": result.gain,
            },
            note=result.unequal or _apart(result),
        ),
        table(
            "twins", "Twins by place",
            (
                {
                    "name": twin.name, "role": twin.role, "blocks": twin.blocks,
                    "trainable_parameters": twin.trainable_parameters,
                    "train_loss": twin.train_loss, "ttr": twin.ttr, "gain": twin.gain,
                    "rep_4": twin.rep_4, "apart": twin.apart or None,
                }
                for twin in result.twins
            ),
            {
                "name": "checkpoint", "role": "role", "blocks": "blocks trained",
                "trainable_parameters": ("parameters trained", compact),
                "train_loss": "training loss", "ttr": "type-token ratio",
                "gain": "gain over the base", "rep_4": "repeated 4-grams",
                "apart": "set aside because",
            },
        ),
        table(
            "prompts", "Type-token ratio of every prompt",
            (
                {"prompt_id": item.prompt_id, "name": twin.name, "ttr": ttr}
                for item in result.prompts
                for twin, ttr in zip(result.twins, item.ttr, strict=True)
            ),
        ),
    )  # fmt: skip


def _apart(result: PlacementResult) -> str:
    return "; ".join(f"{twin.name} is set aside: {twin.apart}" for twin in result.set_aside)
