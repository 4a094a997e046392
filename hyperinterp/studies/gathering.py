"""A study as it lies on disk, read into one result: the same whoever made its cells, and when."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hyperinterp.blocks import Placement, listed
from hyperinterp.claims import registry
from hyperinterp.claims.across import PlanePoint
from hyperinterp.claims.spec import Claim, Verdict, missing
from hyperinterp.report import Report
from hyperinterp.report.claims import unasked
from hyperinterp.studies.cells import Cell, Places
from hyperinterp.studies.result import (
    CellClaim,
    CellRow,
    RecipeRow,
)
from hyperinterp.studies.verdicts import recipe_claims
from hyperinterp.training.result import RESULT_NAME, TrainResult


def gathered(places: Places, cells: Sequence[Cell], facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a study's result.

    Args:
        places: where its files are.
        cells: those that were planned.
        facts: the other fields.
    """
    reports = {cell: found for cell in cells if (found := read_report(places, cell)) is not None}
    rows = tuple(_row(places, cell, reports.get(cell)) for cell in cells)
    recipes = _recipes(cells, reports)
    return {
        **facts,
        "recipes": recipes,
        "cells": rows,
        "beside": _beside(reports),
        "notes": tuple(_notes(rows, recipes)),
    }


def read_report(places: Places, cell: Cell) -> Report | None:
    """The report of a cell's comparison; None before it is made."""
    path = places.report(cell) / "report.json"
    return Report.read(path) if path.is_file() else None


def read_failure(places: Places, cell: Cell) -> str:
    """The reason of a cell's failure; "" when it did not."""
    path = places.failure(cell)
    return json.loads(path.read_text(encoding="utf-8"))["reason"] if path.is_file() else ""


def is_trained(twin: Path) -> bool:
    """Return True for the directory of a finished training run."""
    return (twin / RESULT_NAME).is_file()


def _row(places: Places, cell: Cell, report: Report | None) -> CellRow:
    reason = read_failure(places, cell)
    state = "failed" if reason else "done" if report is not None else "not done"
    given: dict[str, Any] = {"name": cell.name, "recipe": cell.recipe, "seed": cell.seed}
    if is_trained(places.twin(cell)):
        result = TrainResult.read(places.twin(cell))
        state = "trained" if state == "not done" else state
        given |= {
            "blocks": listed(result.blocks), "trainable": result.trainable,
            "train_loss": result.loss, "heldout_loss": result.heldout_loss,
            "epochs": result.epochs, "stop": result.stop,
        }  # fmt: skip
    if report is not None and not reason:
        given |= {
            "claims": {name: _claim(claim) for name, claim in report.claims.items()},
            "point": next((it for it in _across(report, "plane") if it.kind == "fitted"), None),
            "growth": _across(report, "depth"),
        }
    return CellRow(state=state, reason=reason, **given)


def _claim(claim: Claim) -> CellClaim:
    above = claim.conditions[0].above if claim.conditions else True
    effect = claim.conditions[0].measured if claim.conditions else missing(claim.why)
    return CellClaim(claim.verdict, effect, claim.threshold, above, claim.why)


def _across(report: Report, name: str) -> tuple[Any, ...]:
    """Return the values of the first claim that shows some of many twins."""
    for slug, result in report.results.items():
        spec = next((item for item in registry.every_claim() if item.slug == slug), None)
        shown = None if spec is None else spec.part("across", name)
        if shown is not None:
            return tuple(shown(result))
    return ()


def _beside(reports: Mapping[Cell, Report]) -> tuple[PlanePoint, ...]:
    """People, the base and its ways of decoding, as the first cell that has them says."""
    for report in reports.values():
        if points := _across(report, "plane"):
            return tuple(point for point in points if point.kind != "fitted")
    return ()


def _recipes(cells: Sequence[Cell], reports: Mapping[Cell, Report]) -> tuple[RecipeRow, ...]:
    groups: dict[str, list[Cell]] = {}
    for cell in cells:
        groups.setdefault(cell.recipe, []).append(cell)
    done = {name: [cell for cell in group if cell in reports] for name, group in groups.items()}
    claims = {name: recipe_claims([reports[it] for it in group]) for name, group in done.items()}
    rows: list[RecipeRow] = []
    for name, group in groups.items():
        elsewhere = {
            claim: others
            for claim, row in claims[name].items()
            if row.verdict is Verdict.NOT_TESTED and (others := _testing(claim, claims))
        }
        seeds = tuple(cell.seed for cell in done[name])
        rows.append(RecipeRow(name, group[0].words, seeds, claims[name], elsewhere))
    return tuple(rows)


def _testing(claim: str, claims: Mapping[str, Mapping[str, Claim]]) -> tuple[str, ...]:
    return tuple(
        name for name, rows in claims.items() if rows[claim].verdict is not Verdict.NOT_TESTED
    )


def _notes(cells: Sequence[CellRow], recipes: Sequence[RecipeRow]) -> list[str]:
    """Return the remarks that a reader of the study needs."""
    found = [f"{cell.name} failed: {cell.reason}" for cell in cells if cell.state == "failed"]
    left = [cell.name for cell in cells if cell.state in ("not done", "trained")]
    if left:
        found.append(
            f"{len(left)} of {len(cells)} cells are not done yet; the same command goes on."
        )
    counts: dict[tuple[str, int], set[int]] = {}
    for cell in cells:
        if cell.trainable is not None and cell.blocks:
            size = (cell.recipe.partition("-")[0], _size(cell.blocks))
            counts.setdefault(size, set()).add(cell.trainable)
    for (method, size), several in counts.items():
        if len(several) > 1:
            found.append(
                f"{method} in {size} blocks trained from {min(several):,} to {max(several):,} "
                "parameters: blocks of this model differ, and placements with them."
            )
    untested = [
        name
        for name in (recipes[0].claims if recipes else {})
        if all(row.claims[name].verdict is Verdict.NOT_TESTED for row in recipes)
        and not unasked(recipes[0].claims[name])
    ]
    if untested and not left:
        found.append(f"Not tested by any cell: {', '.join(untested)}.")
    return found


def _size(blocks: str) -> int:
    return Placement.read(blocks).size
