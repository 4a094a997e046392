"""The rows of docs/inputs.md: a maker for each kind of input that people bring."""

from benchmarks.input_rows.bench import Bench, Case, Make
from benchmarks.input_rows.checkpoints import CHECKPOINTS
from benchmarks.input_rows.objects import OBJECTS
from benchmarks.input_rows.older import OLDER
from benchmarks.input_rows.texts import TEXT

__all__ = ["GROUPS", "Bench", "Case", "Make"]

GROUPS: dict[str, dict[str, Make]] = {
    "checkpoints": CHECKPOINTS,
    "texts": TEXT,
    "objects": OBJECTS,
    **OLDER,
}
"""Group of docs/inputs.md -> name of the input -> its maker."""
