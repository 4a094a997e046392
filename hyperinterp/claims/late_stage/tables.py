"""Tables of C7: late-stage against the reference, and every twin."""

from hyperinterp.claims.late_stage.result import LateStageResult
from hyperinterp.drawing.numbers import compact
from hyperinterp.drawing.table import Table, table, values


def tables(result: LateStageResult) -> tuple[Table, ...]:
    """Return the tables, the main one first."""
    return (
        values(
            "quantities", f"Late-stage against {result.reference}",
            {
                "late-stage share of the gain": result.gain_share,
                "type-token ratio, late-stage minus reference": result.difference,
            },
        ),
        table(
            "twins", "Twins",
            (
                {
                    "name": twin.name, "role": twin.role, "trained_layers": twin.trained_layers,
                    "share_of_layers": twin.share_of_layers,
                    "trainable_parameters": twin.trainable_parameters,
                    "train_loss": twin.train_loss, "ttr": twin.ttr, "rep_4": twin.rep_4,
                    "entropy": twin.entropy, "heldout_loss": twin.heldout_loss,
                    "last_delta": twin.last_delta,
                }
                for twin in result.twins
            ),
            {
                "name": "checkpoint", "role": "role", "trained_layers": "blocks trained",
                "trainable_parameters": ("parameters trained", compact),
                "train_loss": "training loss", "ttr": "type-token ratio",
                "rep_4": "repeated 4-grams", "entropy": "entropy", "heldout_loss": "held-out loss",
                "last_delta": "growth, last block",
            },
        ),
    )  # fmt: skip
