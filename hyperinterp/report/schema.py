"""The report as data: frozen dataclasses, JSON in both directions, and its JSON Schema."""

import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from hyperinterp.analyses.control import ControlBlock
from hyperinterp.analyses.diversity import DiversityBlock
from hyperinterp.analyses.geometry import GeometryBlock
from hyperinterp.analyses.quotation import QuotationBlock
from hyperinterp.analyses.ranks import RanksBlock
from hyperinterp.analyses.results import Claim
from hyperinterp.analyses.static_bias import StaticBiasBlock
from hyperinterp.analyses.sufficiency import SufficiencyBlock
from hyperinterp.analyses.temperature import TemperatureBlock
from hyperinterp.analyses.transplant import TransplantBlock
from hyperinterp.block import Brief, shown_by
from hyperinterp.course import Course
from hyperinterp.errors import CorruptFile, InputRefused

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from pydantic import TypeAdapter

    from hyperinterp.report.notebook import BlockView

SCHEMA_VERSION = "1.0"


def document(adapter: Any, item: object) -> str:
    """A frozen dataclass as JSON text without NaN; deterministic for equal figures."""
    data = adapter.dump_python(item, mode="json")
    return json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def parsed(adapter: Any, text: str, origin: str, what: str, known: str) -> Any:
    """JSON text back as the frozen dataclass that the type adapter is of.

    Raises:
        CorruptFile: not JSON, or not of this layout.
        InputRefused: a layout version other than `known`.
    """
    from pydantic import ValidationError

    try:
        version = json.loads(text).get("schema_version")
    except (json.JSONDecodeError, AttributeError, RecursionError) as error:
        raise CorruptFile(f"{origin}: expected a {what}, found {error}") from error
    if version != known:
        raise InputRefused(
            f"{origin}: expected {what} layout {known}, found {version!r}; make it anew"
        )
    try:
        return adapter.validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise CorruptFile(f"{origin}: at {where}: {first['msg']}") from error


@dataclass(frozen=True)
class CheckpointFacts:
    """One checkpoint of the comparison."""

    name: str
    role: str
    fingerprint: str
    architecture: str
    parameters: int
    layers: int
    d_model: int
    vocabulary: int
    trained: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class PromptFacts:
    """The held-out text of the comparison."""

    origin: str
    sha256: str
    used: int
    duplicates: int
    empty: int
    short: int
    prompt_tokens: int
    context_tokens: int


@dataclass(frozen=True)
class CorpusFacts:
    """The streamed text of the geometry, where it is not the held-out text."""

    origin: str
    sha256: str
    rows: int
    tokens: int
    duplicates: int
    empty: int
    short: int


@dataclass(frozen=True)
class Provenance(Brief):
    """Everything needed to run it again, and what it cost."""

    versions: dict[str, str]
    git_hash: str | None
    created: str
    seed: int
    device: str
    dtype: str
    preset: str
    sizes: dict[str, Any]
    checkpoints: tuple[CheckpointFacts, ...]
    prompts: PromptFacts
    wall_seconds: dict[str, float]
    forwards: dict[str, int]
    warnings: tuple[str, ...] = ()
    corpus: CorpusFacts | None = None


@dataclass(frozen=True)
class Report:
    """Verdicts first, then one block per analysis.

    Attributes:
        schema_version: version of this layout.
        claims: C1 to C9, each with a verdict.
        provenance: versions, seeds, fingerprints, wall time.
        diversity: the figures of C1, with both models' text side by side.
        temperature: of C2.
        static_bias: of C3.
        ranks: of C4, with the lens.
        geometry: of C5.
        transplant: of C6.
        sufficiency: of C7.
        quotation: of C8.
        control: of C9.
        course: the training of the fitted model, epoch by epoch, where its log is known.
        absent: why a block below is None, by block name.
    """

    schema_version: str
    claims: dict[str, Claim]
    provenance: Provenance
    diversity: DiversityBlock | None = None
    temperature: TemperatureBlock | None = None
    static_bias: StaticBiasBlock | None = None
    ranks: RanksBlock | None = None
    geometry: GeometryBlock | None = None
    transplant: TransplantBlock | None = None
    sufficiency: SufficiencyBlock | None = None
    quotation: QuotationBlock | None = None
    control: ControlBlock | None = None
    course: Course | None = None
    absent: dict[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        names = {item.role: item.name for item in self.provenance.checkpoints}
        verdicts = ", ".join(f"{claim.id} {claim.verdict}" for claim in self.claims.values())
        return (
            f"Report({names.get('fitted')!r} against {names.get('base')!r}, "
            f"n = {self.provenance.prompts.used} prompts:\n  {verdicts})"
        )

    def to_json(self) -> str:
        """The report as JSON text; deterministic for equal figures."""
        return document(_adapter(), self)

    @staticmethod
    def from_json(text: str, origin: str = "report.json") -> "Report":
        """Read a report back.

        Raises:
            CorruptFile: not JSON, or not of this layout.
            InputRefused: a layout version that this hyperinterp does not know.
        """
        return parsed(_adapter(), text, origin, "report", SCHEMA_VERSION)

    @staticmethod
    def read(path: str | Path) -> "Report":
        """Read `report.json`, or the one in a directory.

        Args:
            path: the file, or the directory that holds it.

        Raises:
            CorruptFile: not JSON, or not of this layout.
            InputRefused: there is none, or its layout is unknown.
        """
        path = Path(path)
        path = path / "report.json" if path.is_dir() else path
        if not path.is_file():
            raise InputRefused(
                f"{path}: expected a report.json, found nothing there; name the --out of "
                "`hyperinterp compare`"
            )
        return Report.from_json(path.read_text(encoding="utf-8"), str(path))

    def save(
        self, out: str | Path, *, figures: tuple[str, ...] = (), force: bool = False
    ) -> dict[str, Path]:
        """Write report.html, report.json, report.md, claims.tex and the tables.

        Args:
            out: the directory to make; an empty one is fine.
            figures: formats of static figures, "png" and "svg"; needs the `figures` extra.
            force: replace a directory that holds nothing but an earlier report.

        Returns:
            The path of every file written, by its name relative to `out`.

        Raises:
            InputRefused: `out` may not be replaced or cannot be written; an unknown format.
            OutOfResources: the disk is full; nothing is left behind.
        """
        from hyperinterp.report.writing import save

        return save(self, out, figures=figures, force=force)

    def view(self, block: str) -> "BlockView":
        """A block with `.plot()`, `.to_frame()` and a table for notebooks.

        Args:
            block: its name, e.g. "geometry".

        Raises:
            InputRefused: no such block, or it is not in this report, with the reason.
        """
        from hyperinterp.report.notebook import report_view

        return report_view(self, block)

    def plot(self, block: str, figure: str | None = None, **choices: str) -> "go.Figure":
        """One plotly figure, e.g. `report.plot("geometry", "profile", measure="d90")`.

        Args:
            block: name of the block.
            figure: name of the figure; the main one when no name is given.
            choices: its switches.

        Raises:
            InputRefused: no such block, figure, choice or option; or the block did not run.
        """
        return self.view(block).plot(figure, **choices)

    def to_frame(self, name: str = "claims", table: str | None = None) -> Any:
        """One table as a pandas DataFrame; the claims when no name is given.

        Args:
            name: "claims", "conditions" or a block, e.g. "geometry".
            table: which of the block's tables; the main one when no name is given.

        Raises:
            InputRefused: no such block or table, or pandas is not installed.
        """
        from hyperinterp.report.notebook import report_frame

        return report_frame(self, name, table)

    def _repr_html_(self) -> str:
        from hyperinterp.report.notebook import report_html

        return report_html(self)


def _view(block: object) -> "BlockView":
    from hyperinterp.report.notebook import view

    return view(block)


shown_by(_view)  # from here on `block.plot()`, `.to_frame()` and notebooks work


@cache
def _adapter() -> "TypeAdapter[Report]":
    """Reads and writes JSON; made late, so that a comparison alone needs no pydantic."""
    from pydantic import TypeAdapter

    return TypeAdapter(Report)


def json_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of `report.json`, generated from the dataclasses."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **_adapter().json_schema(mode="serialization"),
    }


BLOCKS: tuple[str, ...] = tuple(
    name for name, item in Report.__dataclass_fields__.items() if type(None) in get_args(item.type)
)
