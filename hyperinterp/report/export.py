"""Static figures through kaleido, an optional extra that needs Chrome or Chromium."""

import importlib.util
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from hyperinterp.drawing.chart import Chart
from hyperinterp.errors import InputRefused
from hyperinterp.report.data import ReportData

if TYPE_CHECKING:
    import plotly.graph_objects as go

FORMATS = ("png", "svg")
WIDTH = 900


def check(formats: tuple[str, ...]) -> None:
    """Refuse unknown formats, and any format when kaleido is not installed.

    Raises:
        InputRefused: see above; the message has the command that installs it.
    """
    for name in formats:
        if name not in FORMATS:
            raise InputRefused(
                f"figures: expected formats among {list(FORMATS)}, found {name!r}; name one"
            )
    if formats and importlib.util.find_spec("kaleido") is None:
        raise InputRefused(
            "figures: static figures need kaleido and Chrome; install them with "
            "`pip install 'hyperinterp[figures]'`, or leave --figures out"
        )


def named_figures(report: ReportData) -> "Iterator[tuple[str, go.Figure]]":
    """Yield every chart of a report at its first choices, with a file stem."""
    for slug, result in report.results.items():
        yield from first_figures(slug, result.charts())
    if report.training_curve is not None:
        yield from first_figures("training_curve", report.training_curve.charts())


def first_figures(stem: str, drawn: Iterable[Chart]) -> "Iterator[tuple[str, go.Figure]]":
    """Charts at the first of their choices that was computed, with a file stem."""
    for chart in drawn:
        variants = {key: None for key, _ in chart.variants()}
        if variants:
            keys = next(iter(variants)).split("|")
            chosen = dict(zip((c.name for c in chart.choices), keys, strict=False))
            yield f"{stem}-{chart.name}", chart.figure(**chosen)


def write_figures(
    named: "Iterable[tuple[str, go.Figure]]", folder: Path, formats: tuple[str, ...]
) -> list[str]:
    """Write named figures in every format; returns names relative to the folder's parent.

    Raises:
        InputRefused: kaleido found no Chrome.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written: list[str] = []
    for stem, figure in named:
        for name in formats:
            path = folder / f"{re.sub(r'[^a-z0-9_-]', '-', stem)}.{name}"
            try:
                figure.write_image(path, width=WIDTH, scale=2 if name == "png" else 1)
            except (RuntimeError, ValueError) as error:
                first = str(error).strip().splitlines()[0]
                raise InputRefused(
                    f"figures: kaleido could not draw {stem}: {first}; leave --figures out"
                ) from error
            written.append(f"{folder.name}/{path.name}")
    return written
