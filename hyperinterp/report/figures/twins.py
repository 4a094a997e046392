"""C7, C8 and C9: other checkpoints beside the fitted one, and copying from the training text."""

import numpy as np

from hyperinterp.analyses.control import ControlBlock
from hyperinterp.analyses.quotation import QuotationBlock
from hyperinterp.analyses.results import Measured
from hyperinterp.analyses.sufficiency import SufficiencyBlock, Twin
from hyperinterp.drawing.chart import Chart, Choice, Explanation, bars, dots
from hyperinterp.drawing.escape import label
from hyperinterp.drawing.numbers import hover
from hyperinterp.drawing.sketch import Sketch
from hyperinterp.drawing.subtitle import behind
from hyperinterp.drawing.theme import (
    BASE,
    CONTROL,
    DELTA,
    EXTRA,
    FITTED,
    LINE,
    MUTED,
    SYMBOLS,
)
from hyperinterp.report.figures.diversity import measure_name
from hyperinterp.verdicts import RULES

TWIN_MEASURES = (
    ("ttr", "type-token ratio"),
    ("rep_4", "repeated 4-grams"),
    ("entropy", "entropy, nats"),
    ("heldout_loss", "held-out loss, nats"),
    ("last_delta", "growth at last block"),
)
_OVER_BLOCKS = (*TWIN_MEASURES, ("train_loss", "final training loss, nats"))
_ROLES = {
    "base": BASE,
    "fitted": FITTED,
    "late-stage": DELTA,
    "sweep": EXTRA,
    "control": CONTROL,
}


def twins(block: SufficiencyBlock, measure: str) -> Sketch:
    """One row per twin."""
    figure = Sketch(dict(TWIN_MEASURES)[measure])
    names = [label(twin.name, 32) for twin in block.twins]
    for role in dict.fromkeys(twin.role for twin in block.twins):
        rows = [row for row, twin in enumerate(block.twins) if twin.role == role]
        figures: list[Measured] = [getattr(block.twins[row], measure) for row in rows]
        labels = [names[row] for row in rows]
        figure.data.append(dots(rows, figures, label(role), _ROLES.get(role, MUTED), labels))
    figure.rows(names)
    figure.sample = behind(getattr(twin, measure) for twin in block.twins)
    return figure


def over_blocks(block: SufficiencyBlock, measure: str) -> Sketch | None:
    """One measure against how many last blocks were trained; a line through the means per k."""
    known: list[tuple[Twin, Measured]] = []
    for twin in block.twins:
        found = getattr(twin, measure)
        item = Measured(found) if isinstance(found, float) else found
        if twin.trained_layers is not None and item is not None and item.value is not None:
            known.append((twin, item))
    ks = sorted({twin.trained_layers or 0 for twin, _ in known})
    if len(ks) < 2:
        return None
    figure = Sketch("last blocks trained", dict(_OVER_BLOCKS)[measure])
    means = [
        float(np.mean([item.value or 0.0 for twin, item in known if twin.trained_layers == k]))
        for k in ks
    ]
    figure.add(
        "scatter", x=ks, y=means, mode="lines", line={"color": LINE, "width": 2},
        hoverinfo="skip", showlegend=False,
    )  # fmt: skip
    for role in dict.fromkeys(twin.role for twin, _ in known):
        mine = [(twin, item) for twin, item in known if twin.role == role]
        colour, figures = _ROLES.get(role, MUTED), [item for _, item in mine]
        figure.add(
            "scatter",
            x=[twin.trained_layers for twin, _ in mine], y=[item.value for item in figures],
            mode="markers", name=label(role), error_y=bars(figures, colour, 2.0),
            marker={"color": colour, "size": 10, "symbol": SYMBOLS.get(colour, "circle")},
            customdata=[[label(twin.name, 32), hover(item)] for twin, item in mine],
            hovertemplate="%{customdata[0]}, %{x} blocks<br>%{customdata[1]}<extra></extra>",
        )  # fmt: skip
    base = getattr(block.twins[0], measure)
    if block.twins[0].role == "base" and isinstance(base, Measured) and base.value is not None:
        figure.level(base.value, "base")
    figure.xaxis(rangemode="tozero", tickmode="array", tickvals=ks, zeroline=False)
    figure.sample = behind((item for _, item in known), f"{len(known)} checkpoints")
    return figure


def apart(block: SufficiencyBlock) -> Sketch | None:
    """Growth at the last block against diversity: do they go together?"""
    known = [t for t in block.twins if t.last_delta.value is not None and t.ttr.value is not None]
    if not known:
        return None
    figure = Sketch("growth at the last block (participation ratio)", "type-token ratio")
    for index, twin in enumerate(known):
        colour = _ROLES.get(twin.role, MUTED)
        figure.add(
            "scatter",
            x=[twin.last_delta.value], y=[twin.ttr.value], mode="markers+text",
            name=label(twin.name, 24), text=[label(twin.name, 24)],
            textposition=("top left", "bottom right")[index % 2],
            textfont={"size": 11}, showlegend=False, cliponaxis=False,
            marker={"color": colour, "size": 11, "symbol": SYMBOLS.get(colour, "circle")},
            error_x=bars([twin.last_delta], colour), error_y=bars([twin.ttr], colour),
            customdata=[[hover(twin.last_delta), hover(twin.ttr)]],
            hovertemplate="%{fullData.name}<br>growth %{customdata[0]}"
            "<br>diversity %{customdata[1]}<extra></extra>",
        )  # fmt: skip
    figure.yaxis(rangemode="tozero")
    figure.sample = behind((twin.ttr for twin in known), f"{len(known)} checkpoints")
    return figure


def copying(block: QuotationBlock, quantity: str) -> Sketch:
    """Copied share, longest span, or diversity without copies, for both models."""
    words = {
        "copied_share": f"share of generated {block.n}-grams in the training text",
        "longest_span": "longest copied span, tokens",
        "free_diversity": "type-token ratio of continuations without a copied n-gram",
    }
    pair = getattr(block, quantity)
    rows = [("base", pair.base, BASE), ("fitted", pair.fitted, FITTED)]
    if quantity == "copied_share":
        rows.append(("held-out text itself", block.heldout_share, MUTED))
    figure = Sketch(words[quantity])
    for row, (name, item, colour) in enumerate(rows):
        drawn = dots([row], [item], name, colour, [""], showlegend=False)
        below = drawn["error_x"]["arrayminus"]
        drawn["error_x"]["arrayminus"] = [w and min(w, max(item.value or 0.0, 0.0)) for w in below]
        figure.data.append(drawn)
    most = max([0.0, *(item.hi or item.value or 0.0 for _, item, _ in rows)])
    if quantity == "copied_share" and pair.base.value is not None:
        needed = pair.base.value + RULES["C8"].criteria[0].threshold
        most = max(most, needed)
        figure.level(needed, f"base + {RULES['C8'].criteria[0].threshold:g}", vertical=True)
    figure.rows([name for name, _, _ in rows])
    figure.xaxis(range=[-0.02 * most, 1.12 * most], zeroline=False)
    figure.sample = behind(item for _, item, _ in rows)
    return figure


def control(block: ControlBlock, quantity: str) -> Sketch:
    """Base against the control checkpoint on one measure; or the gap to the fitted model."""
    if quantity == "gain_gap":
        figure = Sketch("type-token ratio, fitted minus control")
        figure.data.append(dots([0], [block.gain_gap], "gap", FITTED, [""], showlegend=False))
        needed = RULES["C9"].criteria[0].threshold
        figure.level(needed, f"{needed:g}", vertical=True)
        figure.rows(["fitted − control"])
        figure.xaxis(rangemode="tozero")
        figure.sample = behind([block.gain_gap])
        return figure
    pair = block.scores[quantity]
    figure = Sketch(measure_name(quantity))
    for row, (name, item, colour) in enumerate(
        (("base", pair.base, BASE), ("control", pair.fitted, CONTROL))
    ):
        figure.data.append(dots([row], [item], name, colour, [""], showlegend=False))
    figure.rows(["base", "control"])
    figure.xaxis(rangemode="tozero")
    figure.sample = behind([pair.base, pair.fitted])
    return figure


def _sweep_charts(block: SufficiencyBlock) -> tuple[Chart, ...]:
    """The chart over k, where at least two numbers of trained blocks are known."""
    if over_blocks(block, "ttr") is None:
        return ()
    return (
        Chart(
            "blocks", "How many last blocks have to be trained",
            Explanation(
                "One point per checkpoint whose recipe is known, over the number of last blocks "
                "that were trained; the line joins the means, the dotted line is the base.",
                "The chosen measure on held-out text; the final training loss as recorded.",
                "Bars: intervals over prompts. Points of one k are different seeds or recipes.",
                "A curve that keeps rising with k: the last blocks alone are not enough.",
            ),
            lambda key: over_blocks(block, key),
            (Choice("measure", "Measure", _OVER_BLOCKS),), height=360,
        ),
    )  # fmt: skip


def sufficiency_charts(block: SufficiencyBlock) -> tuple[Chart, ...]:
    """The charts of C7."""
    return (
        Chart(
            "twins", "Twins side by side",
            Explanation(
                "One row per checkpoint trained on the same text, by how much of it was trained.",
                "The chosen measure.", "Bars: intervals over the same prompts.",
                "A late-stage twin far below the twin trained in all layers at equal loss.",
            ),
            lambda key: twins(block, key), (Choice("measure", "Measure", TWIN_MEASURES),),
            height=100 + 40 * len(block.twins),
        ),
        *_sweep_charts(block),
        Chart(
            "apart", "Do expansion and diversity go together?",
            Explanation(
                "One point per checkpoint: growth of the last block's space against the "
                "diversity of its text.",
                "Corrected participation ratio, fitted minus base; type-token ratio.",
                "Bars: intervals over prompts, both ways.",
                "Points with equal growth and unequal diversity: the two come apart.",
            ),
            lambda: apart(block), height=380,
        ),
    )  # fmt: skip


def quotation_charts(block: QuotationBlock) -> tuple[Chart, ...]:
    """The charts of C8."""
    options = (
        ("copied_share", f"copied {block.n}-grams"),
        ("longest_span", "longest span"),
        ("free_diversity", "diversity without copies"),
    )
    return (
        Chart(
            "copying", "Copying from the training text",
            Explanation(
                f"How much of the generated text occurs in the {block.training_passages} training "
                "passages, beside the base and the true held-out text. Dotted: where the claim "
                "falls, at the base's own share and the threshold together.",
                "The chosen quantity.",
                "Bars: intervals over prompts, cut at 0, below which no share can lie.",
                "A fitted interval that reaches the dotted line; diversity that vanishes without "
                "the copying continuations.",
            ),
            lambda key: copying(block, key), (Choice("quantity", "Quantity", options),), height=210,
        ),
    )  # fmt: skip


def control_charts(block: ControlBlock) -> tuple[Chart, ...]:
    """The charts of C9."""
    options = (
        ("gain_gap", "gap to fitted"),
        *((key, measure_name(key)) for key in block.scores),
    )
    return (
        Chart(
            "control", "The control checkpoint",
            Explanation(
                "The same recipe stopped at the least validation loss, beside the base; and how "
                "much more diverse the fitted model is than this control.",
                "The chosen measure.", "Bars: intervals over the same prompts.",
                "A control as diverse as the fitted model: ordinary fine-tuning would do.",
            ),
            lambda key: control(block, key), (Choice("quantity", "Quantity", options),), height=180,
        ),
    )  # fmt: skip
