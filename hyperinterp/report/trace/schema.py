"""A trace as data: every measure at every checkpoint that a run left on its way."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from hyperinterp.analyses.results import Measured
from hyperinterp.analyses.trace import Observed
from hyperinterp.block import Brief
from hyperinterp.course import Course
from hyperinterp.errors import InputRefused
from hyperinterp.report.schema import Provenance, document, parsed

TRACE_VERSION = "1.0"


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
class Trace(Brief):
    """The measures of the report along a training run.

    Attributes:
        schema_version: version of this layout.
        run: the run's directory, as it was named.
        recipe: what the run was asked to do.
        data: what it was trained on.
        points: base first, then by step.
        provenance: versions, seed, fingerprints, prompts, wall time.
        course: the run's log; None when it was not there.
    """

    schema_version: str
    run: str
    recipe: dict[str, Any]
    data: dict[str, Any]
    points: tuple[TracePoint, ...]
    provenance: Provenance
    course: Course | None = None

    def to_json(self) -> str:
        """The trace as JSON text; deterministic for equal figures."""
        return document(_ADAPTER, self)

    @staticmethod
    def from_json(text: str, origin: str = "trace.json") -> "Trace":
        """Read a trace back.

        Raises:
            CorruptFile: not JSON, or not of this layout.
            InputRefused: a layout version that this hyperinterp does not know.
        """
        return parsed(_ADAPTER, text, origin, "trace", TRACE_VERSION)

    @staticmethod
    def read(path: str | Path) -> "Trace":
        """Read `trace.json`, or the one in a directory.

        Raises:
            InputRefused: there is none.
        """
        path = Path(path)
        path = path / "trace.json" if path.is_dir() else path
        if not path.is_file():
            raise InputRefused(f"{path}: expected a trace.json, found nothing there")
        return Trace.from_json(path.read_text(encoding="utf-8"), str(path))

    def save(
        self, out: str | Path, *, figures: tuple[str, ...] = (), force: bool = False
    ) -> dict[str, Path]:
        """Write all files of the trace; see `hyperinterp.report.trace.writing.save_trace`."""
        from hyperinterp.report.trace.writing import save_trace

        return save_trace(self, out, figures=figures, force=force)


_ADAPTER: TypeAdapter[Trace] = TypeAdapter(Trace)


def trace_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of `trace.json`, generated from the dataclasses."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **_ADAPTER.json_schema(mode="serialization"),
    }
