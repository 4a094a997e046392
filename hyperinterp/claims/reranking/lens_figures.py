"""C4 by depth: overridden decisions through the logit lens of both models."""

from collections.abc import Sequence
from typing import Any

from hyperinterp.claims.reranking import CLAIM
from hyperinterp.claims.reranking.result import LensProfile
from hyperinterp.drawing.axes import EMBEDDING, depth_ticks
from hyperinterp.drawing.chart import Chart, Choice, Numbers, scatter
from hyperinterp.drawing.escape import clip, label, token, token_label, visible
from hyperinterp.drawing.numbers import count, number
from hyperinterp.drawing.sketch import Sketch
from hyperinterp.drawing.theme import BASE, CONTROL, FITTED, MUTED, SYMBOLS
from hyperinterp.drawing.words import explained


def _places(depths: Sequence[str]) -> list[int]:
    """The embedding before block 0, then one place per block."""
    return list(range(EMBEDDING, EMBEDDING + len(depths)))


def _depth_axis(figure: Sketch, depths: Sequence[str]) -> None:
    last = _places(depths)[-1]
    figure.xaxis(
        **depth_ticks(last, embedded=True), title={"text": "after block"}, showgrid=False,
        zeroline=False, range=[EMBEDDING - 0.8, last + 0.8],
    )  # fmt: skip


def _rank_axis(figure: Sketch) -> None:
    figure.yaxis(
        type="log", autorange="reversed", title={"text": "rank (1 is the top)"},
        tickmode="array", tickvals=[1, 10, 100, 1000, 10_000, 100_000],
        ticktext=["1", "10", "100", "1,000", "10,000", "100,000"],
    )  # fmt: skip


def _line(name: str, values: Numbers, colour: str, depths: Sequence[str]) -> dict[str, Any]:
    return scatter(
        x=_places(depths), y=list(values), name=name, mode="lines+markers",
        line={"color": colour, "width": 2, "dash": "dot" if colour == CONTROL else "solid"},
        marker={"color": colour, "size": 5.5, "symbol": SYMBOLS.get(colour, "circle")},
        customdata=[
            [label(depth), number(value)] for depth, value in zip(depths, values, strict=True)
        ],
        hovertemplate="%{customdata[0]}<br>rank %{customdata[1]}<extra></extra>",
    )  # fmt: skip


def medians(lens: LensProfile) -> Sketch:
    """Median rank of the fitted choice by depth, through both models."""
    figure = Sketch()
    figure.data.append(_line("through the base", lens.base_median_rank, BASE, lens.depths))
    figure.data.append(
        _line("through the fitted model", lens.fitted_median_rank, FITTED, lens.depths)
    )
    _depth_axis(figure, lens.depths)
    _rank_axis(figure)
    figure.sample = _sample(lens)
    return figure


def _sample(lens: LensProfile) -> str:
    return f"n = {count(lens.n_contexts)} overridden decisions"


def overtake(lens: LensProfile) -> Sketch:
    """At which depth the fitted choice passes the base's choice for good."""
    figure = Sketch("", "decisions")
    figure.add("bar", 
        x=_places(lens.depths), y=list(lens.overtake), width=0.8, showlegend=False,
        marker={"color": [MUTED] * (len(lens.overtake) - 1) + [FITTED]},
        customdata=[label(depth) for depth in lens.depths],
        hovertemplate="%{customdata}: %{y}<extra></extra>",
    )  # fmt: skip
    _depth_axis(figure, lens.depths)
    figure.sample = _sample(lens)
    return figure


def trajectory(lens: LensProfile, index: str) -> Sketch:
    """One decision through the depth of both models."""
    item = lens.trajectories[int(index)]
    figure = Sketch()
    fitted, base = token_label(item.fitted_token, 16), token_label(item.base_token, 16)
    rows = (
        (f"“{fitted}” in the base", item.base_rank_of_fitted, BASE),
        (f"“{fitted}” in the fitted model", item.fitted_rank_of_fitted, FITTED),
        (f"“{base}” (base's choice) in the fitted model", item.fitted_rank_of_base, CONTROL),
    )
    for name, values, colour in rows:
        figure.data.append(_line(name, values, colour, lens.depths))
    _depth_axis(figure, lens.depths)
    _rank_axis(figure)
    figure.sample = "n = 1 decision"
    return figure


def lens_charts(lens: LensProfile | None) -> tuple[Chart, ...]:
    """The charts of the lens; none when nothing was overridden."""
    if lens is None:
        return ()
    section = CLAIM.sections[0].id
    options = tuple(
        (
            str(index),
            f"{clip(visible(item.prompt_id), 16)} @{item.position}: "
            f"{clip(visible(item.context), 42, left=True)} → "
            f"{token(item.fitted_token, 14)} (base: {token(item.base_token, 14)})",
        )
        for index, item in enumerate(lens.trajectories)
    )
    found = [
        Chart(
            "lens", *explained(__package__, "lens", n_contexts=count(lens.n_contexts)),
            lambda: medians(lens), height=400, section=section,
        ),
        Chart(
            "overtake", *explained(__package__, "overtake", never=count(lens.never)),
            lambda: overtake(lens), height=300, section=section,
        ),
    ]  # fmt: skip
    if options:
        found.append(
            Chart(
                "trajectory", *explained(__package__, "trajectory"),
                lambda index: trajectory(lens, index),
                (Choice("decision", "Decision", options, menu=True),), height=420,
                section=section,
            )
        )  # fmt: skip
    return tuple(found)
