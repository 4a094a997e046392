"""The files of a study beside its cells: study.json, study.html, study.md and tables."""

from collections.abc import Iterator
from pathlib import Path

from hyperinterp.checkpoints import write_file
from hyperinterp.drawing.escape import markdown
from hyperinterp.drawing.rendering import csv_text
from hyperinterp.drawing.rendering import markdown as markdown_table
from hyperinterp.report import html
from hyperinterp.report.sections import PageSection, with_numbers
from hyperinterp.studies.figures import charts
from hyperinterp.studies.schema import StudyReport
from hyperinterp.studies.tables import (
    cell_table,
    recipe_table,
    tables,
    training_table,
    verdict_table,
)


def write_study(study: StudyReport, out: Path) -> None:
    """Write the study's own files, each completely or not at all.

    Raises:
        InputRefused: the directory cannot be written.
        OutOfResources: the disk is full.
    """
    for name, text in contents(study).items():
        write_file(out / name, text.encode("utf-8", "backslashreplace"), force=True)


def contents(study: StudyReport) -> dict[str, str]:
    """Return the text of every file by its name; study.json stands last, when all is there."""
    return {
        **{f"tables/{item.name}.csv": csv_text(item) for item in tables(study) if item.rows},
        "study.html": page(study),
        "study.md": "\n".join(_markdown(study)) + "\n",
        "study.json": study.to_json(),
    }


def page(study: StudyReport) -> str:
    """Return study.html: verdicts about recipes, figures of all cells, training."""
    drawn = {chart.name: chart for chart in charts(study)}
    sheets = {item.name: item.sheets() for item in tables(study)}

    def section(name: str, title: str, question: str, chart: str, *tabled: str) -> PageSection:
        shown = tuple(drawn[key] for key in [chart] if key in drawn)
        rows = tuple(sheet for key in tabled for sheet in sheets[key])
        gap = "" if shown or rows else "No cell has measured it."
        return PageSection(name, title, question, None, gap, shown, rows)

    sections = [
        section(
            "verdicts", "Verdicts", "What holds of a recipe, whatever its seed?", "forest",
            "verdicts", "recipes",
        ),
        section("plane", "Quality and diversity", "Is more diverse text still good text?", "plane"),
        section("growth", "Growth by depth", "Where does the feature space grow?", "growth"),
        section("cells", "Cells", "What did every run come to?", "", "training", "cells"),
    ]  # fmt: skip
    return html.page(
        "study.html.j2",
        study,
        list(with_numbers(sections)),
        f"Study of {study.model}",
        files=("study.json", "tables/", "cells/*/report/"),
    )


def _markdown(study: StudyReport) -> Iterator[str]:
    """The verdicts and the runs for terminals and pull requests."""
    yield f"# Study of {markdown(study.model)}"
    yield ""
    for note in study.notes:
        yield f"- {markdown(note)}"
    for item in (verdict_table(study), training_table(study)):
        for sheet in item.sheets():
            yield from markdown_table(sheet)
    for item in (recipe_table(study), cell_table(study)):
        if item.rows:
            yield f"tables/{item.name}.csv: {item.title.lower()}"
