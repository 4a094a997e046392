"""One table over many reports: what it reads, shows and refuses."""

import csv
from dataclasses import replace
from pathlib import Path

import pytest

import hyperinterp as hi
from hyperinterp.errors import InputRefused
from hyperinterp.report.many import Reports
from hyperinterp.report.schema import Report


@pytest.fixture
def folders(complete: Report, sparse: Report, tmp_path: Path) -> list[Path]:
    """Two reports, and a study with one cell."""
    found = []
    for name, report in (("a/report", complete), ("b/report", sparse)):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "report.json").write_text(report.to_json(), encoding="utf-8")
        found.append(tmp_path / name)
    cell = tmp_path / "study/cells/lora-last5-seed0/report"
    cell.mkdir(parents=True)
    (tmp_path / "study/study.yaml").write_text("model: x\n")
    (cell / "report.json").write_text(complete.to_json(), encoding="utf-8")
    return [*found, tmp_path / "study"]


def test_reports_and_studies_stand_side_by_side(complete: Report, folders: list[Path]) -> None:
    found = hi.reports(*folders, folders[0] / "report.json")
    assert [row.name for row in found.rows] == [
        "a/report", "b/report", "study/cells/lora-last5-seed0/report",
    ]  # fmt: skip
    assert found.rows[0].claims == complete.claims
    rows = list(csv.DictReader(found.to_csv().splitlines()))
    assert len(rows) == 3 * len(complete.claims)
    assert float(rows[0]["effect"]) == complete.claims["C1"].effect
    frame = found.to_frame("reports")
    assert list(frame["report"]) == [row.name for row in found.rows]
    assert frame["C9"][0] == "not tested"
    text = found.to_markdown()
    assert text.count("a/report") == 1
    assert "supported 0.358 " in text


def test_a_forest_has_a_row_per_report_that_tested_the_claim(folders: list[Path]) -> None:
    found = hi.reports(*folders)
    (chart,) = found.charts()
    drawn = dict(chart.variants())
    assert len(drawn["C1"]["data"][0]["x"]) == 2
    assert "C9" not in drawn
    assert Reports(()).charts() == ()
    untested = replace(found, rows=found.rows[1:2])
    assert untested.charts() == ()


@pytest.mark.parametrize("name", ["nothing", "study/cells", "a"])
def test_what_is_no_report_is_refused(folders: list[Path], tmp_path: Path, name: str) -> None:
    with pytest.raises(InputRefused, match="expected a report or a study"):
        hi.reports(tmp_path / name)
    with pytest.raises(InputRefused, match="name some"):
        hi.reports()
    (tmp_path / "study/cells/lora-last5-seed0/report/report.json").unlink()
    with pytest.raises(InputRefused, match="run hyperinterp study first"):
        hi.reports(tmp_path / "study")
