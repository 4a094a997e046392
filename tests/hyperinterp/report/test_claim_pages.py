"""The pages about the claims name figures that exist."""

import re
from pathlib import Path

import pytest

from hyperinterp.compare import ANALYSES
from hyperinterp.report.schema import Report

PAGES = Path(__file__).resolve().parents[3] / "docs" / "claims"


@pytest.mark.parametrize("claim", ANALYSES)
def test_named_figures_exist(complete: Report, claim: str) -> None:
    page = (PAGES / f"{claim.lower()}.md").read_text(encoding="utf-8")
    block = ANALYSES[claim][0]
    assert f"report.{block}.plot(" in page
    figures = set(re.findall(r'plot\("(\w+)"\)', page))
    assert figures <= set(getattr(complete, block).names())
