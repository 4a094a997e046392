"""Trackers of experiments: what one lacks is said before any work; results are told to it."""

import contextlib
import importlib
import importlib.util
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hyperinterp.drawing import escape
from hyperinterp.drawing.rendering import cell_words, markdown, markdown_grid
from hyperinterp.drawing.table import Table
from hyperinterp.errors import InputRefused

NONE = "none"
OFFLINE = "run `wandb login`, or set WANDB_MODE=offline and `wandb sync` the run later"
FOLDER = "trackers"
"""Directory of TensorBoard's files beside what a command writes."""


@dataclass(frozen=True)
class Told:
    """A finished piece of work in a tracker's terms: one run.

    Attributes:
        job: the command that did it, such as "compare".
        name: of the run.
        config: how it was done, as plain JSON values.
        summary: numbers and words by name, with slashes between groups.
        series: numbers by name, at each step.
        tables: by name.
    """

    job: str
    name: str
    config: Mapping[str, Any]
    summary: Mapping[str, float | int | str]
    series: Sequence[tuple[int, Mapping[str, float]]] = ()
    tables: Mapping[str, Table] = field(default_factory=dict)


def check_tracker(name: str, known: Sequence[str]) -> None:
    """Refuse a tracker that is not installed, or whose account is not there.

    Args:
        name: the tracker, or "none".
        known: those that are installed.

    Raises:
        InputRefused: says how to install it, or what it lacks.
    """
    if name != NONE and name not in known:
        told = ", ".join([NONE, *known])
        remedy = f"pip install {name}" if name in TRACKERS else "choose one of these"
        raise InputRefused(
            f"report_to: expected a tracker that is installed ({told}), found {name!r}; {remedy}"
        )
    lacks = _wandb_lacks() if name == "wandb" else ""
    if lacks:
        raise InputRefused(f"report_to: wandb: expected a login, found {lacks}; {OFFLINE}")


def check_results_tracker(name: str, out: Path | None) -> None:
    """Refuse, before any work, a tracker that results cannot be told to.

    Args:
        name: the tracker, or "none".
        out: what the command writes; TensorBoard's files lie in it.

    Raises:
        InputRefused: it is not installed, has no account, or nowhere to write.
    """
    check_tracker(name, [it for it in TRACKERS if importlib.util.find_spec(it) is not None])
    if name == "tensorboard":
        _board(out)


def _wandb_lacks() -> str:
    """Return the obstacle to wandb's start; empty where there is none, or if it works offline."""
    wandb = _library("wandb")
    if os.environ.get("WANDB_MODE", "online").lower() not in ("online", "shared", ""):
        return ""
    try:
        return "" if wandb.login(prompt=False) else "none"
    except Exception as error:  # a key that is refused or malformed, or no way to its server
        return " ".join(str(error).split())[:200]


@contextmanager
def tracker_faults(name: str) -> Iterator[None]:
    """Say what to do when a tracker cannot start or goes on no longer.

    Raises:
        InputRefused: an error that the tracker's own library raised.
    """
    try:
        yield
    except Exception as error:
        if name == NONE or type(error).__module__.partition(".")[0] != name:
            raise
        told = " ".join(str(error).split())[:300]
        remedy = OFFLINE if name == "wandb" else "try --report-to none"
        raise InputRefused(f"report_to: {name} stopped: {told}; {remedy}") from error


def tell(told: Told, name: str, out: Path | None) -> None:
    """Tell a tracker of a finished piece of work; what it prints goes to stderr.

    Args:
        told: the run.
        name: the tracker; "none" is told nothing.
        out: what the command wrote; TensorBoard's files go into it.

    Raises:
        InputRefused: the tracker's own library failed, or it has nowhere to write.
    """
    if name != NONE:
        with contextlib.redirect_stdout(sys.stderr), tracker_faults(name):
            TRACKERS[name](told, out)


def _library(name: str) -> Any:
    return importlib.import_module(name)


def _board(out: Path | None) -> Path:
    """The directory of TensorBoard's files."""
    stated = os.environ.get("TENSORBOARD_LOGGING_DIR")
    if stated:
        return Path(stated).expanduser()
    if out is None:
        raise InputRefused(
            "report_to: expected a place for TensorBoard's files, found none; name an --out, or "
            "set TENSORBOARD_LOGGING_DIR"
        )
    return out / FOLDER


def _to_tensorboard(told: Told, out: Path | None) -> None:
    """Numbers as scalars; words, tables and settings as text."""
    with _library("torch.utils.tensorboard").SummaryWriter(str(_board(out))) as writer:
        writer.add_text("config", f"```\n{json.dumps(told.config, indent=1)}\n```")
        for key, value in told.summary.items():
            if isinstance(value, str):
                writer.add_text(key, value)
            else:
                writer.add_scalar(key, value)
        for step, values in told.series:
            for key, value in values.items():
                writer.add_scalar(key, value, step)
        for key, item in told.tables.items():
            writer.add_text(f"tables/{key}", "\n".join(_read(item)))


def _to_wandb(told: Told, out: Path | None) -> None:
    """A summary, series over their own steps, and tables; a run that is open is added to."""
    wandb = _library("wandb")
    begun = wandb.run
    run = begun or wandb.init(
        project=os.environ.get("WANDB_PROJECT") or PROJECT,
        name=os.environ.get("WANDB_NAME") or told.name,
        job_type=told.job,
    )
    run.config.update(dict(told.config), allow_val_change=True)
    names = dict.fromkeys(key for _, values in told.series for key in values)
    if names:
        run.define_metric("step")
    for key in names:
        run.define_metric(key, step_metric="step")
    for step, values in told.series:
        run.log({"step": step, **values})
    for key, item in told.tables.items():
        columns, rows = _plain(item)
        held = wandb.Table(columns=columns, data=rows, allow_mixed_types=True)
        run.log({f"tables/{key}": held})
    run.summary.update(dict(told.summary))
    if begun is None:
        run.finish()


def _to_trackio(told: Told, out: Path | None) -> None:
    """Everything in one run: series at their steps, the rest after them."""
    trackio = _library("trackio")
    run = trackio.init(
        project=os.environ.get("TRACKIO_PROJECT") or PROJECT,
        name=told.name,
        config=dict(told.config),
        embed=False,
    )
    for step, values in told.series:
        run.log(dict(values), step=step)
    last = max((step for step, _ in told.series), default=0)
    held = {key: _plain(item) for key, item in told.tables.items()}
    tables = {
        f"tables/{key}": trackio.Table(columns=columns, data=rows)
        for key, (columns, rows) in held.items()
    }
    run.log({**told.summary, **tables}, step=last)
    trackio.finish()


def _read(item: Table) -> list[str]:
    """The lines of a table in Markdown: as it is read, or every column where none has a heading."""
    if sheets := item.sheets():
        return [line for sheet in sheets for line in markdown(sheet)]
    columns, rows = _plain(item)
    told = [[escape.markdown(cell_words(value)) for value in row] for row in rows]
    return markdown_grid([escape.markdown(column) for column in columns], told)


def _plain(item: Table) -> tuple[list[str], list[list[Any]]]:
    """Columns and rows of a table to compute with."""
    records = item.records()
    columns = list(dict.fromkeys(key for row in records for key in row))
    return columns, [[row.get(key) for key in columns] for row in records]


PROJECT = "huggingface"
"""The project of a training run that transformers tells a tracker of: results stand beside it."""
TRACKERS: dict[str, Callable[[Told, Path | None], None]] = {
    "tensorboard": _to_tensorboard,
    "trackio": _to_trackio,
    "wandb": _to_wandb,
}
