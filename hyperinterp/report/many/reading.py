"""Reports as they lie on disk: directories, their files, and studies with their cells."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from hyperinterp.errors import InputRefused
from hyperinterp.report.many.result import ReportRow, Reports
from hyperinterp.report.schema import Report

_FILE = "report.json"
_STUDY = ("study.yaml", "cells")


def reports(*paths: str | Path) -> Reports:
    """Return the claims of many reports, side by side.

    Args:
        paths: directories that `hyperinterp compare --out` made, their `report.json` files, or the
            directories of studies, which stand for the reports of their cells.

    Raises:
        InputRefused: nothing was named, or something that is no report.
        CorruptFile: a report cannot be read.
    """
    if not paths:
        raise InputRefused("reports: expected at least one report, found none; name some")
    files = list(dict.fromkeys(file for path in paths for file in _files(Path(path))))
    names = _names([file.parent for file in files])
    return Reports(
        tuple(_row(name, Report.read(file)) for name, file in zip(names, files, strict=True))
    )


def _files(path: Path) -> Iterator[Path]:
    """The files of the reports that a path stands for."""
    if path.name == _FILE and path.is_file():
        yield path
    elif (path / _FILE).is_file():
        yield path / _FILE
    elif all((path / name).exists() for name in _STUDY):
        found = sorted((path / "cells").glob(f"*/report/{_FILE}"))
        if not found:
            raise InputRefused(
                f"{path}: expected a study with finished cells, found none; run hyperinterp "
                "study first"
            )
        yield from found
    else:
        raise InputRefused(
            f"{path}: expected a report or a study, found no {_FILE} there; name the --out of "
            "hyperinterp compare"
        )


def _names(folders: Sequence[Path]) -> list[str]:
    """Return paths without the beginning that all of them share."""
    absolute = [os.path.abspath(folder) for folder in folders]  # noqa: PTH100
    common = Path(os.path.commonpath([str(Path(name).parent) for name in absolute]))
    return [Path(name).relative_to(common).as_posix() for name in absolute]


def _row(name: str, report: Report) -> ReportRow:
    models = {item.role: item.name for item in report.provenance.checkpoints}
    return ReportRow(
        name=name,
        base=models.get("base", ""),
        fitted=models.get("fitted", ""),
        prompts=report.provenance.prompts.used,
        claims=dict(report.claims),
    )
