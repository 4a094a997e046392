"""The trace of a training run: data that draws, tabulates, saves and reads itself."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hyperinterp.report import codec
from hyperinterp.report.trace import writing
from hyperinterp.report.trace.data import TRACE_VERSION, TraceData


@dataclass(frozen=True, repr=False)
class Trace(TraceData):
    """The measures of the report along a training run.

    `plot()` has the figures of `trace.html`, `to_frame()` the rows of `trace.csv`, `names()` every
    figure and its switches.
    """

    def to_json(self) -> str:
        """The trace as JSON text; deterministic for equal figures."""
        return codec.document(codec.adapter_of(Trace), self)

    @staticmethod
    def from_json(text: str, origin: str = "trace.json") -> "Trace":
        """Read a trace back.

        Raises:
            CorruptFile: not JSON, or not of this layout.
            InputRefused: a layout version that this hyperinterp does not know.
        """
        return codec.parsed(codec.adapter_of(Trace), text, origin, "trace", TRACE_VERSION)

    @staticmethod
    def read(path: str | Path) -> "Trace":
        """Read `trace.json`, or the one in a directory.

        Args:
            path: the file, or the directory that holds it.

        Raises:
            CorruptFile: not JSON, or not of this layout.
            InputRefused: there is none, or its layout is unknown.
        """
        return Trace.from_json(*codec.stored(path, "trace.json", "trace"))

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
        return writing.save_trace(self, out, figures=figures, force=force)


def trace_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of `trace.json`, generated from the dataclasses."""
    return codec.schema_of(codec.adapter_of(Trace))
