"""A trace as data: every measure at every checkpoint that a run left on its way."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hyperinterp.analyses.results import Measured
from hyperinterp.analyses.trace import Observed
from hyperinterp.block import Block, Brief
from hyperinterp.course import Course
from hyperinterp.errors import InputRefused
from hyperinterp.report.schema import Provenance, document, parsed

if TYPE_CHECKING:
    from pydantic import TypeAdapter

    from hyperinterp.report.trace.notebook import TraceView

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
class Trace(Block):
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
        return document(_adapter(), self)

    @staticmethod
    def from_json(text: str, origin: str = "trace.json") -> "Trace":
        """Read a trace back.

        Raises:
            CorruptFile: not JSON, or not of this layout.
            InputRefused: a layout version that this hyperinterp does not know.
        """
        return parsed(_adapter(), text, origin, "trace", TRACE_VERSION)

    @staticmethod
    def read(path: str | Path) -> "Trace":
        """Read `trace.json`, or the one in a directory.

        Args:
            path: the file, or the directory that holds it.

        Raises:
            CorruptFile: not JSON, or not of this layout.
            InputRefused: there is none, or its layout is unknown.
        """
        path = Path(path)
        path = path / "trace.json" if path.is_dir() else path
        if not path.is_file():
            raise InputRefused(
                f"{path}: expected a trace.json, found nothing there; name the --out of "
                "`hyperinterp trace`"
            )
        return Trace.from_json(path.read_text(encoding="utf-8"), str(path))

    def save(
        self, out: str | Path, *, figures: tuple[str, ...] = (), force: bool = False
    ) -> dict[str, Path]:
        """Write trace.json, trace.csv and trace.html.

        Args:
            out: the directory to make; an empty one is fine.
            figures: formats of static figures, "png" and "svg"; needs the `figures` extra.
            force: replace a directory that holds nothing but an earlier trace.

        Returns:
            The path of every file written, by its name relative to `out`.

        Raises:
            InputRefused: `out` may not be replaced or cannot be written; an unknown format.
            OutOfResources: the disk is full; nothing is left behind.
        """
        from hyperinterp.report.trace.writing import save_trace

        return save_trace(self, out, figures=figures, force=force)

    def _viewed(self) -> "TraceView":
        from hyperinterp.report.trace.notebook import TraceView

        return TraceView("trace", self)


@cache
def _adapter() -> "TypeAdapter[Trace]":
    from pydantic import TypeAdapter

    return TypeAdapter(Trace)


def trace_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of `trace.json`, generated from the dataclasses."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **_adapter().json_schema(mode="serialization"),
    }
