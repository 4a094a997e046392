"""Tables of a training curve: what the run came to, and every epoch."""

from dataclasses import asdict

from hyperinterp.drawing.numbers import seconds
from hyperinterp.drawing.table import Table, table, values
from hyperinterp.training_curve.result import TrainingCurve

_READ = {
    "epoch": "epoch",
    "step": "step",
    "loss": "training loss",
    "heldout_loss": "validation loss",
    "entropy": "entropy",
    "ttr": "type-token ratio",
    "rep_4": "repeated 4-grams",
}


def tables(curve: TrainingCurve) -> tuple[Table, ...]:
    """Return the tables, the main one first."""
    last = curve.epochs[-1].loss if curve.epochs else None
    return (
        values(
            "run",
            "The run",
            {
                "whole epochs": len(curve.epochs),
                "optimiser steps": curve.steps,
                "loss of the first batch, before any update (nats)": curve.first_loss,
                "mean loss of the last epoch (nats)": last,
                "time": seconds(curve.seconds),
                "ended by": curve.stop or "not ended",
                "read from": curve.source,
            },
        ),
        table("epochs", "Epochs", map(asdict, curve.epochs), _READ, shut=True),
    )
