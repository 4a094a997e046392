"""C1: how diverse the greedy text of both models is."""

from typing import Any

from hyperinterp.claims.diversity import CLAIM
from hyperinterp.claims.diversity.result import DiversityResult
from hyperinterp.drawing.chart import Chart, Choice, dots
from hyperinterp.drawing.dumbbell import dumbbells
from hyperinterp.drawing.escape import label
from hyperinterp.drawing.names import MEASURES, measure_name
from hyperinterp.drawing.numbers import number, signed
from hyperinterp.drawing.sketch import Sketch
from hyperinterp.drawing.subtitle import behind
from hyperinterp.drawing.theme import DELTA, INK, MUTED, faint
from hyperinterp.drawing.words import TYPICAL, explained, words

_TEXTS = CLAIM.sections[0].id


def scores(block: DiversityResult) -> Sketch:
    """Dumbbells: every measure, base to fitted, with intervals."""
    figure = Sketch("share (0 to 1)")
    keys = _shown(block)
    pairs = [block.scores[key] for key in keys]
    names = [
        label(measure_name(key)) + ("" if pair.base.lo is not None else "<br>(no interval)")
        for key, pair in zip(keys, pairs, strict=True)
    ]
    dumbbells(figure, pairs, names)
    if "ttr" in keys and block.human.value is not None:
        row = keys.index("ttr")
        human = dots([row], [block.human], "human", INK, [names[row]])
        human["marker"] |= {"symbol": "star", "size": 13}
        figure.data.append(human)
    figure.sample = behind(pair.delta for pair in pairs)
    return figure


def _shown(block: DiversityResult) -> list[str]:
    """The shares; lengths are in the table, and distinct n-grams are 1 minus the repeated ones."""
    return [key for key in block.scores if key in MEASURES and not key.startswith("distinct_")]


def paired(block: DiversityResult, measure: str) -> Sketch | None:
    """One line per prompt from base to fitted, and the change of every prompt beside it."""
    names = (f"base_{measure}", f"fitted_{measure}")
    values: list[tuple[str, Any, Any, int]] = [
        (item.prompt_id, getattr(item, names[0]), getattr(item, names[1]), place)
        for place, item in enumerate(block.prompts, start=1)
    ]
    known = [value for value in values if value[1] is not None and value[2] is not None]
    if not known:
        return None
    figure = Sketch("", measure_name(measure))
    for better, colour, told in (
        (True, DELTA, "more diverse"),
        (False, MUTED, "not more diverse"),
    ):
        sign = 1 if measure == "ttr" else -1
        rows = [v for v in known if (sign * (v[2] - v[1]) > 0) is better]
        xs: list[float | None] = []
        ys: list[float | None] = []
        notes: list[list[str]] = []
        for name, before, after, place in rows:
            xs += [0, 1, None]
            ys += [before, after, None]
            note = f"{number(before)} to {number(after)} ({signed(after - before)})"
            notes += [[label(name), note, f"{_TEXTS}-{place}"]] * 2 + [["", "", ""]]
        figure.add(
            "scatter",
            x=xs, y=ys, mode="lines+markers", name=f"{told} ({len(rows)} prompts)",
            line={"color": faint(colour, 0.35), "width": 1.6}, customdata=notes,
            marker={"color": colour, "size": 6},
            hovertemplate="%{customdata[0]}<br>%{customdata[1]}<br>click to read it<extra></extra>",
        )  # fmt: skip
    figure.xaxis(
        tickmode="array", tickvals=[0, 1], ticktext=["base", "fitted"], range=[-0.25, 1.25],
        showgrid=False, zeroline=False,
    )  # fmt: skip
    figure.sample = f"n = {len(known)} prompts"
    return figure


def _human(block: DiversityResult) -> str:
    """Return the words on the star, where one is drawn."""
    return "" if block.human.value is None else words(CLAIM.package)[TYPICAL]["human"]


def charts(block: DiversityResult) -> tuple[Chart, ...]:
    """The charts of this block."""
    window = f"the last {block.window} generated ids"
    measures = tuple((key, measure_name(key)) for key in ("ttr", "rep_4"))
    return (
        Chart(
            "scores",
            *explained(__package__, "scores", window=window, human=_human(block)),
            lambda: scores(block),
            height=60 + 44 * len(_shown(block)),
        ),
        Chart(
            "paired",
            *explained(__package__, "paired", window=window),
            lambda measure: paired(block, measure),
            (Choice("measure", "Measure", measures),),
            height=400,
        ),
    )
