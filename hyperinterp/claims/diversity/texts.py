"""The generations of C1, side by side."""

from collections.abc import Mapping
from typing import Any

from hyperinterp.claims.diversity import CLAIM
from hyperinterp.claims.diversity.result import DiversityResult, Generation, SideBySide
from hyperinterp.drawing.numbers import number
from hyperinterp.drawing.texts import Passage, Row, Texts
from hyperinterp.drawing.words import explained


def texts(result: DiversityResult, results: Mapping[str, Any]) -> Texts:
    """Return every prompt with both generations.

    Args:
        result: what was measured.
        results: every result of the report, by slug.
    """
    section = CLAIM.sections[0].id
    searched = results.get("quotation") is not None
    return Texts(
        section=section,
        rows=tuple(map(_row, result.prompts)),
        explanation=explained(__package__, section)[1],
        copied_note="" if searched else " (not searched here)",
        note=f"Greedy decoding, {result.new_tokens} new tokens at most.",
    )


def _row(item: SideBySide) -> Row:
    return Row(
        item.prompt_id,
        item.prompt,
        (
            _passage("base", item.base, item.base_ttr, item.base_rep_4),
            _passage("fitted", item.fitted, item.fitted_ttr, item.fitted_rep_4),
        ),
    )


def _passage(model: str, found: Generation, ttr: float | None, rep: float | None) -> Passage:
    told = [f"type-token ratio {number(ttr)}", f"repeated 4-grams {number(rep)}"]
    if found.ended:
        told.append("ended by itself")
    marks = {"rep": found.repeated, "cop": found.copied}
    return Passage(model, found.text, found.pieces, marks, tuple(told))
