"""A study as data that draws, tabulates and reads itself."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hyperinterp.report import codec
from hyperinterp.studies.result import STUDY_VERSION, StudyData


@dataclass(frozen=True, repr=False)
class StudyReport(StudyData):
    """Every cell of a study, and a verdict per claim about every recipe.

    `plot()` has the figures of `study.html`, `to_frame()` its tables, `names()` every figure.

    Attributes:
        schema_version: version of this layout.
        model: the base, as it was named.
        fingerprint: of its weights.
        config: the study, every field filled in.
        texts: digests of the texts, by their use.
        versions: of hyperinterp and what computes.
        recipes: in the order of the study, each with its claims.
        cells: in the order of the study, each with its own report's claims.
        beside: people and the base in the quality-diversity plane.
        notes: remarks that a reader needs.
    """

    def to_json(self) -> str:
        """The study as JSON text; deterministic for equal figures."""
        return codec.document(codec.adapter_of(StudyReport), self)

    @staticmethod
    def from_json(text: str, origin: str = "study.json") -> "StudyReport":
        """Read a study back.

        Raises:
            CorruptFile: not JSON, or not of this layout.
            InputRefused: a layout version that this hyperinterp does not know.
        """
        return codec.parsed(codec.adapter_of(StudyReport), text, origin, "study", STUDY_VERSION)

    @staticmethod
    def read(path: str | Path) -> "StudyReport":
        """Read `study.json`, or the one in a directory.

        Args:
            path: the file, or the directory that holds it.

        Raises:
            CorruptFile: not JSON, or not of this layout.
            InputRefused: there is none, or its layout is unknown.
        """
        return StudyReport.from_json(*codec.stored(path, "study.json", "study"))


def study_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of `study.json`, made from the dataclasses."""
    return codec.schema_of(codec.adapter_of(StudyReport))
