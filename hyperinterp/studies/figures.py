"""Figures of a study: effects of every seed, the quality-diversity plane, growth by depth."""

from collections.abc import Sequence
from textwrap import shorten

from hyperinterp.claims.spec import Claim, Measured, Verdict
from hyperinterp.drawing.axes import NORM, depth_ticks
from hyperinterp.drawing.chart import Chart, Choice, bars, curve, dots
from hyperinterp.drawing.escape import label
from hyperinterp.drawing.names import metric_name
from hyperinterp.drawing.numbers import hover, short
from hyperinterp.drawing.sketch import Sketch
from hyperinterp.drawing.subtitle import behind
from hyperinterp.drawing.theme import BASE, CONTROL, DELTA, EARTH, EXTRA, FITTED, INK, MUTED
from hyperinterp.drawing.words import explained
from hyperinterp.studies.result import CellRow, StudyData
from hyperinterp.studies.tables import effect

_COLOURS = (FITTED, BASE, DELTA, CONTROL, EXTRA, EARTH, MUTED)
_SEEDS = ("circle", "diamond", "square", "triangle-up", "cross", "hexagon", "pentagon")


def _colours(study: StudyData) -> dict[str, str]:
    names = [recipe.name for recipe in study.recipes]
    return {name: _COLOURS[index % len(_COLOURS)] for index, name in enumerate(names)}


def forest(study: StudyData, claim: str) -> Sketch | None:
    """One claim's effect in every recipe, the seeds' own beside it."""
    colours, labels = _colours(study), list[str]()
    figure = Sketch("effect")
    shown: list[Measured] = []
    count, thresholds = 0, set[float]()
    for recipe in study.recipes:
        row = recipe.claims[claim]
        cells = [it for it in study.cells if it.recipe == recipe.name and claim in it.claims]
        seeds = [it for it in cells if it.claims[claim].effect.value is not None]
        if not seeds and effect(row).value is None:
            continue
        if row.threshold is not None:
            thresholds.add(row.threshold)
        found = [effect(row), *(it.claims[claim].effect for it in seeds)]
        names = [recipe.name, *(f"seed {it.seed}" for it in seeds)]
        rows = list(range(len(labels), len(labels) + len(found)))
        labels += [f"<b>{label(names[0])}</b>", *(label(name) for name in names[1:])]
        colour = colours[recipe.name]
        figure.data.append(
            dots(rows, found, label(recipe.name), colour, labels[rows[0] :], showlegend=False)
        )
        shown += found
        count += len(seeds)
    if not shown:
        return None
    figure.rows(labels)
    for threshold in thresholds:
        figure.level(threshold, short(threshold), vertical=True)
    figure.xaxis(title={"text": _unit(study, claim)})
    figure.sample = behind(shown, f"{count} of {len(study.cells)} cells")
    return figure


def _unit(study: StudyData, claim: str) -> str:
    row: Claim = study.recipes[0].claims[claim]
    return row.unit


def plane(study: StudyData) -> Sketch | None:
    """Every cell's text by surprisal beside the human one and by diversity."""
    figure = Sketch("fresh surprisal, text minus human, nats per token", "type-token ratio")
    colours, shown = _colours(study), list[Measured]()
    kinds = {"human": (INK, "star", 17), "base": (INK, "circle", 12)}
    for point in study.beside:
        colour, symbol, size = kinds.get(point.kind, (MUTED, "circle-open", 9))
        _point(figure, point.source, point.excess, point.ttr, colour, symbol, size)
    first: set[str] = set()
    seeds = list(dict.fromkeys(cell.seed for cell in study.cells))
    for cell in study.cells:
        if cell.point is None or cell.point.excess.value is None:
            continue
        _point(
            figure, cell.recipe, cell.point.excess, cell.point.ttr, colours[cell.recipe],
            _SEEDS[seeds.index(cell.seed) % len(_SEEDS)], 11, f"seed {cell.seed}",
            shown=cell.recipe not in first,
        )  # fmt: skip
        first.add(cell.recipe)
        shown.append(cell.point.excess)
    if not shown:
        return None
    figure.xaxis(zeroline=True)
    figure.sample = behind(shown, f"{len(shown)} cells")
    return figure


def _point(
    figure: Sketch,
    name: str,
    excess: Measured,
    ttr: Measured,
    colour: str,
    symbol: str,
    size: int,
    more: str = "",
    *,
    shown: bool = True,
) -> None:
    figure.add(
        "scatter",
        x=[excess.value], y=[ttr.value], mode="markers", name=label(name),
        marker={"color": colour, "symbol": symbol, "size": size},
        error_x=bars([excess], colour), error_y=bars([ttr], colour), showlegend=shown,
        customdata=[[label(f"{name} {more}".strip()), hover(excess), hover(ttr)]],
        hovertemplate="%{customdata[0]}<br>over human: %{customdata[1]}"
        "<br>type-token ratio: %{customdata[2]}<extra></extra>",
    )  # fmt: skip


def growth(study: StudyData, recipe: str) -> Sketch | None:
    """Growth by depth, one line per cell; the final norm apart."""
    cells = [it for it in study.cells if it.growth and recipe in ("all", it.recipe)]
    if not cells:
        return None
    figure = Sketch("block outputs by block (pre-norm)", f"{metric_name('pr_corrected')}, growth")
    colours, named, last = _colours(study), set[str](), 0
    seen: list[Measured] = []
    for cell in cells:
        stream = [it for it in cell.growth if it.layer is not None]
        norm = [it for it in cell.growth if it.layer is None]
        last = max(last, *(it.layer or 0 for it in stream))
        colour = colours[cell.recipe]
        line = _line(cell, [float(it.layer or 0) for it in stream], [it.delta for it in stream])
        line |= {"line": {"color": colour, "width": 1.6}, "showlegend": cell.recipe not in named}
        line["marker"] = {"color": colour, "size": 5}
        figure.data.append(line)
        for it in norm:
            mark = _line(cell, [0.0], [it.delta]) | {"xaxis": "x2", "mode": "markers"}
            figure.data.append(mark | {"marker": {"color": colour, "size": 8}, "showlegend": False})
        named.add(cell.recipe)
        seen += [it.delta for it in stream]
    figure.xaxis(
        **depth_ticks(last), domain=[0, 0.84], range=[-0.8, last + 0.8], zeroline=False,
        showgrid=False,
    )  # fmt: skip
    figure.xaxis(
        "xaxis2", domain=[0.87, 1], range=[-1, 1], tickmode="array", tickvals=[0],
        ticktext=[NORM], tickangle=0, showgrid=False, zeroline=False, anchor="y",
    )  # fmt: skip
    figure.level(0, "base")
    figure.sample = behind(seen, f"{len(cells)} cells")
    return figure


def _line(cell: CellRow, x: Sequence[float], deltas: Sequence[Measured]) -> dict[str, object]:
    labels = [label(f"{cell.name}")] * len(x)
    return curve(x, deltas, label(cell.recipe), MUTED, labels)


def charts(study: StudyData) -> tuple[Chart, ...]:
    """Every chart of a study."""
    rows = study.recipes[0].claims if study.recipes else {}
    tested = [
        name
        for name in rows
        if any(it.claims[name].verdict is not Verdict.NOT_TESTED for it in study.recipes)
    ]
    found: list[Chart] = []
    if tested:
        options = tuple(
            (name, shorten(f"{name} {rows[name].statement}", 60, placeholder=" …"))
            for name in tested
        )
        found.append(
            Chart(
                "forest", *explained(__package__, "forest"), lambda key: forest(study, key),
                (Choice("claim", "Claim", options, menu=True),),
                height=90 + 24 * (len(study.cells) + len(study.recipes)),
            )
        )  # fmt: skip
    if plane(study) is not None:
        found.append(
            Chart("plane", *explained(__package__, "plane"), lambda: plane(study), height=480)
        )
    grown = [it.name for it in study.recipes if growth(study, it.name) is not None]
    if grown:
        options = (("all", "all recipes"), *((name, name) for name in grown))
        found.append(
            Chart(
                "growth", *explained(__package__, "growth"), lambda key: growth(study, key),
                (Choice("recipe", "Recipe", options, menu=True),), height=440,
            )
        )  # fmt: skip
    return tuple(found)
