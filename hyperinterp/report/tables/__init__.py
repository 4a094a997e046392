"""Tables of every block and of the claims: `tables(report)`, `block_tables(block)`."""

from typing import Any

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
from hyperinterp.course import Course
from hyperinterp.drawing.table import Table, spread, table
from hyperinterp.report.schema import BLOCKS, Report
from hyperinterp.report.tables import blocks, inside

__all__ = ["Table", "block_tables", "claim_tables", "tables"]

_TABLES: dict[type, Any] = {
    DiversityBlock: blocks.diversity,
    TemperatureBlock: blocks.temperature,
    StaticBiasBlock: blocks.static_bias,
    RanksBlock: inside.ranks,
    GeometryBlock: inside.geometry,
    TransplantBlock: inside.transplant,
    SufficiencyBlock: blocks.sufficiency,
    QuotationBlock: blocks.quotation,
    ControlBlock: blocks.control,
    Course: blocks.course,
}


def block_tables(block: object) -> tuple[Table, ...]:
    """Every table of a block, the main one first.

    Raises:
        TypeError: not a block of a report.
    """
    if type(block) not in _TABLES:
        raise TypeError(f"tables: expected a block of a report, found {type(block).__name__}")
    return _TABLES[type(block)](block)


def claim_tables(claims: dict[str, Claim]) -> tuple[Table, ...]:
    """The claims, and every condition of every claim."""
    rows = (
        {
            "claim": claim.id, "statement": claim.statement, "verdict": str(claim.verdict),
            "effect": claim.effect, "lo": claim.interval[0] if claim.interval else None,
            "hi": claim.interval[1] if claim.interval else None, "unit": claim.unit,
            "n": claim.n, "threshold": claim.threshold, "null": claim.null,
            "p_value": claim.p_value, "p_adjusted": claim.p_adjusted, "method": claim.method,
            "why": claim.why,
        }
        for claim in claims.values()
    )  # fmt: skip
    conditions = (
        {
            "claim": claim.id, "condition": item.words, **spread("value", item.measured),
            "required": "above" if item.above else "below", "threshold": item.threshold,
            "outcome": str(item.outcome),
        }
        for claim in claims.values()
        for item in claim.conditions
    )  # fmt: skip
    return table("claims", "Claims", rows), table("conditions", "Conditions", conditions)


def tables(report: Report) -> tuple[Table, ...]:
    """Every table of a report; those without rows are left out."""
    found = list(claim_tables(report.claims))
    for name in BLOCKS:
        block = getattr(report, name)
        if block is not None:
            found += block_tables(block)
    return tuple(item for item in found if item.rows)
