"""The pages about the claims name figures that exist."""

import re
from pathlib import Path

import pytest

from hyperinterp.claims.registry import CLAIMS
from hyperinterp.claims.spec import ClaimSpec
from hyperinterp.report.schema import Report

PAGES = Path(__file__).resolve().parents[3] / "docs" / "claims"


@pytest.mark.parametrize("spec", CLAIMS, ids=lambda spec: spec.id)
def test_named_figures_exist(complete: Report, spec: ClaimSpec) -> None:
    page = (PAGES / f"{spec.id.lower()}.md").read_text(encoding="utf-8")
    assert f"report.{spec.slug}.plot(" in page
    figures = set(re.findall(r'plot\("(\w+)"\)', page))
    assert figures <= set(getattr(complete, spec.slug).names())
