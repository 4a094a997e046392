"""The report: data that draws, tabulates, saves and reads itself."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hyperinterp.claims.spec import Verdict
from hyperinterp.drawing.rendering import dataset, frame
from hyperinterp.drawing.result import Result
from hyperinterp.errors import InputRefused
from hyperinterp.report import claims, codec, notebook, writing
from hyperinterp.report.data import ReportData
from hyperinterp.report.folders import folders

if TYPE_CHECKING:
    import plotly.graph_objects as go


@dataclass(frozen=True, repr=False)
class Report(ReportData):
    """Verdicts first, then one result per claim, which is also an attribute by its slug.

    Attributes:
        schema_version: version of this layout.
        claims: a row for every claim, by id, each with a verdict.
        provenance: versions, seeds, fingerprints, wall time.
        results: what was measured for each claim, by slug; those not there are in `absent`.
        training_curve: the training of the fitted model, epoch by epoch, where its log is known.
        absent: why a result or the training curve is not there, by slug.
    """

    def __repr__(self) -> str:
        names = {item.role: item.name for item in self.provenance.checkpoints}
        verdicts = ", ".join(f"{claim.id} {claim.verdict}" for claim in self.claims.values())
        return (
            f"Report({names.get('fitted')!r} against {names.get('base')!r}, "
            f"n = {self.provenance.prompts.used} prompts:\n  {verdicts})"
        )

    def broken(self) -> tuple[str, ...]:
        """Return the ids of the claims whose own work failed; the other rows stand."""
        return tuple(name for name, claim in self.claims.items() if claim.verdict is Verdict.FAILED)

    def to_json(self) -> str:
        """The report as JSON text; deterministic for equal figures."""
        return codec.to_json(self, folders())

    @staticmethod
    def from_json(text: str, origin: str = "report.json") -> "Report":
        """Read a report back.

        Raises:
            CorruptFile: not JSON, or not of this layout.
            InputRefused: a layout version that this hyperinterp does not know.
        """
        return Report(**codec.from_json(text, folders(), origin))

    @staticmethod
    def read(path: str | Path) -> "Report":
        """Read `report.json`, or the one in a directory.

        Args:
            path: the file, or the directory that holds it.

        Raises:
            CorruptFile: not JSON, or not of this layout.
            InputRefused: there is none, or its layout is unknown.
        """
        return Report.from_json(*codec.stored(path, "report.json", "compare"))

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
        return writing.save(self, out, figures=figures, force=force)

    def __getattr__(self, name: str) -> Any:
        """Return the result of a claim by its slug; None when it is not there."""
        if name in {spec.slug for spec in folders()}:
            return self.results.get(name)
        raise AttributeError(f"Report has no attribute {name!r}")

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self.results]

    def view(self, name: str) -> Result:
        """Return a result by its slug; it has `.plot()`, `.to_frame()` and a table for notebooks.

        Args:
            name: its slug, or "training_curve".

        Raises:
            InputRefused: no such result, or it is not in this report, with the reason.
        """
        known = [*(spec.slug for spec in folders()), "training_curve"]
        if name not in known:
            raise InputRefused(f"result: expected one of {known}, found {name!r}")
        found = getattr(self, name)
        if found is None:
            raise InputRefused(f"{name}: not in this report: {self.absent.get(name, 'not run')}")
        return found

    def plot(self, name: str, figure: str | None = None, **choices: str) -> "go.Figure":
        """Draw one figure of a result: the main one when no figure is named.

        Args:
            name: slug of the result.
            figure: name of the figure; the main one when no name is given.
            choices: its switches.

        Raises:
            InputRefused: no such result, figure, choice or option; or the claim did not run.
        """
        return self.view(name).plot(figure, **choices)

    def to_frame(self, name: str = "claims", table: str | None = None) -> Any:
        """Return one table as a pandas DataFrame; the claims when no name is given.

        Args:
            name: "claims", "conditions" or a slug.
            table: which of the result's tables; the main one when no name is given.

        Raises:
            InputRefused: no such result or table, or pandas is not installed.
        """
        own = {item.name: item for item in claims.claim_tables(self.claims)}
        return frame(own[name]) if name in own else self.view(name).to_frame(table)

    def to_dataset(self, name: str = "claims", table: str | None = None) -> Any:
        """Return one table as a Hugging Face Dataset; the claims when no name is given.

        Args:
            name: "claims", "conditions" or a slug.
            table: which of the result's tables; the main one when no name is given.

        Raises:
            InputRefused: no such result or table, or datasets is not installed.
        """
        own = {item.name: item for item in claims.claim_tables(self.claims)}
        return dataset(own[name]) if name in own else self.view(name).to_dataset(table)

    def _repr_html_(self) -> str:
        return notebook.report_html(self)


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of `report.json`, made from the claims."""
    return codec.report_schema(folders())
