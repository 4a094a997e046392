"""Reports, traces and studies told to a tracker of experiments."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hyperinterp.claims.spec import Claim, Measured
from hyperinterp.errors import InputRefused
from hyperinterp.report.schema import Report
from hyperinterp.report.trace.schema import Trace
from hyperinterp.report.writing import tables as report_tables
from hyperinterp.studies import StudyReport
from hyperinterp.studies.tables import effect
from hyperinterp.trackers import NONE, Told, check_results_tracker, tell

Result = Report | Trace | StudyReport


def track(result: Any, tracker: str, *, out: str | Path | None = None) -> None:
    """Tell a tracker of experiments of a finished report, trace or study, as one run.

    A report gives the verdict of each claim, its effect and the ends of its interval; a trace gives
    every measure over the steps of the run; a study gives the losses and claims of its cells, and
    the verdicts about its recipes. Tables go along.

    Args:
        result: a `Report`, a `Trace` or a `StudyReport`, returned or read back.
        tracker: "tensorboard", "trackio" or "wandb", which may work offline; "none" does nothing.
        out: directory of the result: TensorBoard's files go into its `trackers`, where
            TENSORBOARD_LOGGING_DIR names no other place.

    Raises:
        InputRefused: another result; a tracker that is not installed, has no account or nowhere to
            write, or whose own library failed.
    """
    if not isinstance(result, Result):
        raise InputRefused(
            f"track: expected a Report, a Trace or a StudyReport, found {type(result).__name__}; "
            "read one with hyperinterp.Report.read"
        )
    place = None if out is None else Path(out)
    check_results_tracker(tracker, place)
    if tracker != NONE:
        tell(told(result), tracker, place)


def told(result: Result) -> Told:
    """Return a result in a tracker's terms."""
    if isinstance(result, Report):
        return _told_report(result)
    return _told_trace(result) if isinstance(result, Trace) else _told_study(result)


def _told_report(report: Report) -> Told:
    names = {item.role: item.name for item in report.provenance.checkpoints}
    summary = {
        key: value
        for claim in report.claims.values()
        for key, value in _claim(claim.id, claim).items()
    }
    return Told(
        job="compare",
        name=f"compare {Path(names['fitted']).name}",
        config=_json(asdict(report.provenance)),
        summary=summary,
        tables=dict(report_tables(report)),
    )


def _told_trace(trace: Trace) -> Told:
    facts = {"run": trace.run, "recipe": trace.recipe, "data": trace.data}
    points = [
        (
            point.step,
            {f"trace/{key}": it.value for key, it in _measures(point) if it.value is not None},
        )
        for point in trace.points
    ]
    last = dict(points[-1][1]) if points else {}
    return Told(
        job="trace",
        name=f"trace {Path(trace.run).name}",
        config=_json({**facts, "provenance": asdict(trace.provenance)}),
        summary=last,
        series=points,
        tables={item.name: item for item in trace.tables() if item.rows},
    )


def _told_study(study: StudyReport) -> Told:
    summary: dict[str, float | int | str] = {}
    for recipe in study.recipes:
        for claim in recipe.claims.values():
            summary |= _claim(f"recipes/{recipe.name}/{claim.id}", claim)
    for cell in study.cells:
        place = f"cells/{cell.name}"
        summary[f"{place}/state"] = cell.state
        for name in ("train_loss", "heldout_loss", "epochs", "trainable"):
            if (value := getattr(cell, name)) is not None:
                summary[f"{place}/{name}"] = value
        for name, found in cell.claims.items():
            summary |= _ends(f"{place}/{name}", str(found.verdict), found.effect)
    facts = {name: getattr(study, name) for name in ("model", "fingerprint", "texts", "versions")}
    return Told(
        job="study",
        name=f"study {Path(study.model).name}",
        config=_json({**facts, **study.config}),
        summary=summary,
        tables={item.name: item for item in study.tables() if item.rows},
    )


def _claim(place: str, claim: Claim) -> dict[str, float | int | str]:
    return _ends(place, str(claim.verdict), effect(claim))


def _ends(place: str, verdict: str, measured: Measured) -> dict[str, float | int | str]:
    """A verdict, an effect and the ends of its interval, as far as they are there."""
    values = {"effect": measured.value, "lo": measured.lo, "hi": measured.hi}
    known = {f"{place}/{key}": value for key, value in values.items() if value is not None}
    return {f"{place}/verdict": verdict, **known}


def _measures(point: Any) -> Iterator[tuple[str, Measured]]:
    """Every measure of a checkpoint by its name, those of sites by the site's too."""
    yield "train_loss", point.train_loss
    observed = point.observed
    yield from observed.figures.items()
    for name, change in observed.changes.items():
        yield f"{name}_change", change
    for site in observed.sites:
        for name, found in site.figures.items():
            yield f"{name}/{site.key}", found
    if observed.growth is not None:
        yield "growth_contrast", observed.growth.contrast


def _json(values: Mapping[str, Any]) -> dict[str, Any]:
    return json.loads(json.dumps(values))
