"""The claims of many reports, side by side."""

from dataclasses import dataclass

from hyperinterp.brief import Brief
from hyperinterp.claims.spec import Claim
from hyperinterp.drawing.rendering import csv_text, markdown
from hyperinterp.drawing.result import Result


@dataclass(frozen=True)
class ReportRow(Brief):
    """The claims of one report.

    Attributes:
        name: its directory, without what all of them have in common.
        base: the model before.
        fitted: the model after.
        prompts: held-out prompts that it rests on.
        claims: every claim, by id.
    """

    name: str
    base: str
    fitted: str
    prompts: int
    claims: dict[str, Claim]


@dataclass(frozen=True)
class Reports(Result):
    """The claims of many reports: `to_frame()` for pandas, `plot()` for a forest of a claim.

    Attributes:
        rows: one per report, in the order in which they were named.
    """

    rows: tuple[ReportRow, ...]

    def to_markdown(self) -> str:
        """Return a Markdown table with a row per report and a column per claim."""
        sheets = self.tables()[1].sheets()
        return "\n".join(line for sheet in sheets for line in markdown(sheet)) + "\n"

    def to_csv(self) -> str:
        """Return a CSV table with a row per report and claim."""
        return csv_text(self.tables()[0])
