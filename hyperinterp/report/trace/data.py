"""A trace as data: every measure at every checkpoint that a run left on its way."""

from dataclasses import dataclass
from typing import Any

from hyperinterp.analyses.trace import Observed
from hyperinterp.brief import Brief
from hyperinterp.claims.spec import Measured
from hyperinterp.drawing.result import Result
from hyperinterp.report.data import Provenance
from hyperinterp.training_curve.result import TrainingCurve

TRACE_VERSION = "2.0"


@dataclass(frozen=True)
class TracePoint(Brief):
    """One checkpoint of the run.

    Attributes:
        name: "base", "loss-3", "epoch-2", "control" or "final".
        also: other names of the same weights.
        step: optimiser steps done; 0 for the base.
        epoch: whole epochs done.
        train_loss: mean training loss of the epoch that ended with these weights; for the base
            that of the first batch, before any update; nats. `method` says which.
        fingerprint: of the stored weights.
        observed: every measure.
    """

    name: str
    also: tuple[str, ...]
    step: int
    epoch: int
    train_loss: Measured
    fingerprint: str
    observed: Observed


@dataclass(frozen=True)
class TraceData(Result):
    """The measures of the report along a training run.

    Like a block of a report it draws and tabulates itself: `plot()` has the figures of
    `trace.html`, `to_frame()` the rows of `trace.csv`, `names()` every figure and its switches.

    Attributes:
        schema_version: version of this layout.
        run: the run's directory, as it was named.
        recipe: what the run was asked to do.
        data: what it was trained on.
        points: base first, then by step.
        provenance: versions, seed, fingerprints, prompts, wall time.
        training_curve: the run's log; None when it was not there.
    """

    schema_version: str
    run: str
    recipe: dict[str, Any]
    data: dict[str, Any]
    points: tuple[TracePoint, ...]
    provenance: Provenance
    training_curve: TrainingCurve | None = None
