"""The needs of a study, as a table or as one JSON document."""

import dataclasses
import json
import sys

from rich.box import SIMPLE_HEAD
from rich.table import Table

from hyperinterp.cli.progress import span
from hyperinterp.cli.show import labelled, the_console
from hyperinterp.planning import size_words
from hyperinterp.studies.needs import StudyNeeds


def show_needs(needs: StudyNeeds, *, as_json: bool) -> None:
    """Every cell with its time and memory, and the total of what is left."""
    if as_json:
        facts = dataclasses.asdict(needs)
        facts |= {"seconds": needs.seconds, "peak_bytes": needs.peak_bytes}
        sys.stdout.write(json.dumps(facts, indent=2) + "\n")
        return
    shown = the_console()
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1))
    for heading in ("", "cell", "trains", "state", "training", "comparison", "memory"):
        left = heading in ("cell", "trains", "state")
        table.add_column(heading, justify="left" if left else "right")
    for cell in needs.cells:
        most = max(cell.training_bytes, cell.comparison_bytes)
        table.add_row(
            str(cell.number), cell.name, f"{cell.words}: {cell.trainable:,}", cell.state,
            span(cell.training_seconds), span(cell.comparison_seconds), size_words(most),
        )  # fmt: skip
    shown.print(table)
    labelled(shown, "left, at most about", span(needs.seconds))
    labelled(shown, "memory needed at most about", size_words(needs.peak_bytes))
    labelled(
        shown,
        "rate",
        f"{needs.rate / 1e9:.0f} billion operations per second of a matrix product in float32 on "
        f"{needs.device}, measured for a moment; a run that reaches its target loss ends earlier",
    )
