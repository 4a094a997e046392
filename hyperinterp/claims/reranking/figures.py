"""C4: whose token wins, from which base rank, and what that does to the ordering."""

import math
from typing import Any

from hyperinterp.claims.reranking import CLAIM
from hyperinterp.claims.reranking.lens_figures import lens_charts
from hyperinterp.claims.reranking.result import ContextRanks, RerankingResult, TokenShift
from hyperinterp.claims.spec import Measured
from hyperinterp.drawing.chart import Chart, Choice, dots
from hyperinterp.drawing.escape import label, token_label, visible
from hyperinterp.drawing.numbers import count, number
from hyperinterp.drawing.sketch import Sketch
from hyperinterp.drawing.subtitle import behind
from hyperinterp.drawing.theme import BASE, FITTED, MUTED, faint, heat_scale
from hyperinterp.drawing.words import explained
from probes import RANK_BUCKETS, bucket_label

_PLACES = list(range(len(RANK_BUCKETS)))


def _bucket_ticks(*, narrow: bool) -> dict[str, Any]:
    """The rank buckets as ticks; long ones on two lines where they stand side by side."""
    texts = [label(bucket_label(place)).replace("-", "–") for place in _PLACES]
    if narrow:
        texts = [text.replace("–", "–<br>") if len(text) > 4 else text for text in texts]
    return {
        "tickmode": "array", "tickvals": _PLACES, "ticktext": texts, "tickangle": 0,
        "showgrid": False, "zeroline": False,
    }  # fmt: skip


def _sample(item: ContextRanks, *, orderings: bool = False) -> str:
    decisions = f"{count(item.n_contexts)} decisions"
    if orderings:
        decisions = f"{count(item.flow_contexts)} of {decisions}, whole vocabulary"
    return behind([item.override_rate], decisions)


def _overridden(item: ContextRanks) -> str:
    return behind([item.override_rate], f"{count(sum(item.buckets[1:]))} overridden decisions")


def contexts(block: RerankingResult) -> dict[str, ContextRanks]:
    """The kinds of context that were measured, by key."""
    found = {"teacher": block.teacher_forced}
    if block.on_policy is not None:
        found["policy"] = block.on_policy
    return found


def buckets(item: ContextRanks) -> Sketch:
    """Decisions by the base's rank of the fitted model's choice."""
    total = max(sum(item.buckets), 1)
    shares = [value / total for value in item.buckets]
    figure = Sketch("base rank of the fitted model's choice", "share of decisions")
    figure.add("bar", 
        x=list(range(len(shares))), y=[100 * share for share in shares],
        width=0.72, showlegend=False,
        marker={"color": [MUTED, BASE, FITTED, FITTED, FITTED][: len(shares)]},
        text=[f"{100 * share:.1f} %" for share in shares], textposition="outside",
        cliponaxis=False, customdata=[count(value) for value in item.buckets],
        hovertemplate="%{customdata} decisions<extra></extra>",
    )  # fmt: skip
    figure.xaxis(**_bucket_ticks(narrow=True))
    figure.yaxis(ticksuffix=" %", range=[0, 112 * max(shares, default=1) or 100])
    figure.sample = _sample(item)
    return figure


def flow(item: ContextRanks, form: str) -> Sketch | None:
    """Draw the fitted bucket of the tokens of each base bucket."""
    if not item.flow or not any(map(sum, item.flow)):
        return None
    shares = [[cell / max(sum(row), 1) for cell in row] for row in item.flow]
    share = form == "share"
    z = shares if share else [[math.log10(cell + 1) for cell in row] for row in item.flow]
    text = [
        [f"{100 * s:.1f} %" if share else count(cell) for s, cell in zip(a, b, strict=True)]
        for a, b in zip(shares, item.flow, strict=True)
    ]
    figure = Sketch("rank bucket in the fitted model", "rank bucket in the base")
    figure.add("heatmap", 
        z=z, x=_PLACES, y=_PLACES, colorscale=heat_scale(), showscale=False,
        text=text, texttemplate="%{text}", textfont={"size": 12}, xgap=2, ygap=2,
        customdata=[[count(cell) for cell in row] for row in item.flow],
        hovertemplate="%{customdata} token places<br>%{text}<extra></extra>",
        zmin=0, zmax=1 if share else None,
    )  # fmt: skip
    figure.xaxis(**_bucket_ticks(narrow=True))
    figure.yaxis(**_bucket_ticks(narrow=False), autorange="reversed")
    figure.sample = _sample(item, orderings=True)
    return figure


def shares(item: ContextRanks) -> Sketch:
    """Override rates and the similarity of the two orderings."""
    needed = {criterion.key: criterion.threshold for criterion in CLAIM.rule.criteria}
    rows: list[tuple[str, Measured, str, float | None]] = [
        ("decisions overridden", item.override_rate, FITTED, None),
        (_AFTER, item.after_static, FITTED, needed["after_static"]),
        ("first half of the prompts", item.halves[0], MUTED, needed["halves"]),
        ("second half of the prompts", item.halves[1], MUTED, needed["halves"]),
        ("overrides from base rank &gt; 10", item.deep_share, FITTED, needed["deep"]),
        ("Spearman correlation of ranks", item.spearman, BASE, None),
        ("rank-biased overlap", item.rbo, BASE, None),
    ]
    rows += [(f"shared top {k} (Jaccard)", value, BASE, None) for k, value in item.jaccard.items()]
    figure = Sketch("share, or correlation")
    for row, (name, value, colour, threshold) in enumerate(rows):
        figure.data.append(dots([row], [value], name, colour, [""], showlegend=False))
        if threshold is not None:
            figure.mark(threshold, row)
    figure.rows([name for name, *_ in rows])
    figure.xaxis(range=[min([0.0, *(v.lo or 0.0 for _, v, _, _ in rows)]) - 0.02, 1.02])
    orderings = f"{count(item.flow_contexts)} for the orderings"
    figure.sample = f"{_sample(item)}, {orderings}"
    return figure


_AFTER = "also after the best<br>context-free scale and shift"


def classes(item: ContextRanks) -> Sketch | None:
    """Promoted and demoted tokens per frequency class."""
    if not item.classes:
        return None
    figure = Sketch("tokens in decisions", "frequency class")
    names = list(item.classes)
    for index, (name, colour) in enumerate((("promoted", FITTED), ("demoted", BASE))):
        figure.add("bar", 
            y=[row + (0.19 if index else -0.19) for row in range(len(names))], name=name,
            x=[pair[index] for pair in item.classes.values()], orientation="h", width=0.36,
            marker={
                "color": faint(colour, 0.35) if index else colour,
                "line": {"color": colour, "width": 1.2},
            },
            hovertemplate="%{fullData.name}: %{x:,}<extra></extra>",
        )  # fmt: skip
    figure.rows([label(name) for name in names])
    figure.sample = _overridden(item)
    return figure


def tokens(item: ContextRanks, side: str) -> Sketch | None:
    """The tokens most often promoted or demoted."""
    found: tuple[TokenShift, ...] = (item.promoted if side == "promoted" else item.demoted)[:15]
    if not found:
        return None
    other = "base" if side == "promoted" else "fitted model"
    figure = Sketch("decisions")
    figure.sample = _overridden(item)
    figure.add("bar", 
        x=[shift.count for shift in found], y=list(range(len(found))), orientation="h", width=0.66,
        marker={"color": FITTED if side == "promoted" else BASE}, showlegend=False,
        customdata=[
            [
                token_label(shift.token, 60),
                f"id {shift.token_id}, {label(shift.frequency_class)}",
                f"median rank {number(shift.median_rank)} there in the {other}",
                label("…" + shift.example[-60:], 64),
            ]
            for shift in found
        ],
        hovertemplate="%{customdata[0]} × %{x}<br>%{customdata[1]}<br>%{customdata[2]}"
        "<br>%{customdata[3]}<extra></extra>",
    )  # fmt: skip
    figure.rows([token_label(shift.token, 22) for shift in found])
    return figure


def charts(block: RerankingResult) -> tuple[Chart, ...]:
    """The charts of this block, with the logit lens last."""
    known = contexts(block)
    words = {"teacher": "held-out text", "policy": "on-policy text"}
    where = Choice("contexts", "Contexts", tuple((key, words[key]) for key in known))
    sides = Choice("side", "Tokens", (("promoted", "promoted"), ("demoted", "demoted")))
    forms = Choice("form", "Cells", (("share", "share of row"), ("counts", "counts (log colour)")))
    longest = max(
        [len(i.promoted) for i in known.values()] + [len(i.demoted) for i in known.values()]
    )
    return (
        Chart(
            "buckets", *explained(__package__, "buckets"),
            lambda key: buckets(known[key]), (where,), height=340,
        ),
        Chart(
            "shares", *explained(__package__, "shares"),
            lambda key: shares(known[key]), (where,), height=420,
        ),
        Chart(
            "flow", *explained(__package__, "flow"),
            lambda key, form: flow(known[key], form), (where, forms), height=400,
        ),
        Chart(
            "classes", *explained(__package__, "classes", source=visible(block.frequency_source)),
            lambda key: classes(known[key]), (where,), height=300,
        ),
        Chart(
            "tokens", *explained(__package__, "tokens"),
            lambda key, side: tokens(known[key], side), (where, sides),
            height=100 + 24 * min(longest, 15),
        ),
        *lens_charts(block.lens),
    )  # fmt: skip
