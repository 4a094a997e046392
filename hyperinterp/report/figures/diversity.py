"""C1: how diverse the greedy text of both models is."""

from hyperinterp.analyses.diversity import DiversityBlock
from hyperinterp.drawing.chart import Chart, Choice, Explanation
from hyperinterp.drawing.dumbbell import dumbbells
from hyperinterp.drawing.escape import label
from hyperinterp.drawing.numbers import number, signed
from hyperinterp.drawing.sketch import Sketch
from hyperinterp.drawing.subtitle import behind
from hyperinterp.drawing.theme import DELTA, MUTED, faint

MEASURES = {
    "ttr": "type-token ratio",
    "distinct_2": "distinct 2-grams",
    "distinct_3": "distinct 3-grams",
    "rep_2": "repeated 2-grams",
    "rep_3": "repeated 3-grams",
    "rep_4": "repeated 4-grams",
    "self_bleu": "self-BLEU",
}


def measure_name(key: str) -> str:
    """Words for a measure of the diversity scores."""
    return MEASURES.get(key, key.replace("_", " "))


def scores(block: DiversityBlock) -> Sketch:
    """Dumbbells: every measure, base to fitted, with intervals."""
    figure = Sketch("share (0 to 1)")
    keys = _shown(block)
    pairs = [block.scores[key] for key in keys]
    names = [
        label(measure_name(key)) + ("" if pair.base.lo is not None else "<br>(no interval)")
        for key, pair in zip(keys, pairs, strict=True)
    ]
    dumbbells(figure, pairs, names)
    figure.sample = behind(pair.delta for pair in pairs)
    return figure


def _shown(block: DiversityBlock) -> list[str]:
    """The shares; lengths are in the table, and distinct n-grams are 1 minus the repeated ones."""
    return [key for key in block.scores if key in MEASURES and not key.startswith("distinct_")]


def paired(block: DiversityBlock, measure: str) -> Sketch | None:
    """One line per prompt from base to fitted, and the change of every prompt beside it."""
    values = [
        (item.prompt_id, getattr(item, f"base_{measure}"), getattr(item, f"fitted_{measure}"))
        for item in block.prompts
    ]
    known = [value for value in values if value[1] is not None and value[2] is not None]
    if not known:
        return None
    figure = Sketch("", measure_name(measure))
    for better, colour, words in (
        (True, DELTA, "more diverse"),
        (False, MUTED, "not more diverse"),
    ):
        sign = 1 if measure == "ttr" else -1
        rows = [v for v in known if (sign * (v[2] - v[1]) > 0) is better]
        xs: list[float | None] = []
        ys: list[float | None] = []
        notes: list[list[str]] = []
        for name, before, after in rows:
            xs += [0, 1, None]
            ys += [before, after, None]
            note = f"{number(before)} to {number(after)} ({signed(after - before)})"
            notes += [[label(name), note]] * 2 + [["", ""]]
        figure.add(
            "scatter",
            x=xs, y=ys, mode="lines+markers", name=f"{words} ({len(rows)} prompts)",
            line={"color": faint(colour, 0.35), "width": 1.6}, customdata=notes,
            marker={"color": colour, "size": 6},
            hovertemplate="%{customdata[0]}<br>%{customdata[1]}<extra></extra>",
        )  # fmt: skip
    figure.xaxis(
        tickmode="array", tickvals=[0, 1], ticktext=["base", "fitted"], range=[-0.25, 1.25],
        showgrid=False, zeroline=False,
    )  # fmt: skip
    figure.sample = f"n = {len(known)} prompts"
    return figure


def charts(block: DiversityBlock) -> tuple[Chart, ...]:
    """The charts of this block."""
    window = f"the last {block.window} generated ids"
    measures = tuple((key, measure_name(key)) for key in ("ttr", "rep_4"))
    return (
        Chart(
            "scores",
            "Diversity of greedy text",
            Explanation(
                f"Each row is one measure of {window}, averaged over prompts: circle base, "
                "diamond fitted. A higher type-token ratio and less repetition is more diverse.",
                "Shares between 0 and 1; self-BLEU as a share too (lower is more diverse). "
                "Distinct n-grams are 1 minus the repeated ones and stand in the table only.",
                "Bars: interval over prompts of each mean; the difference has its own interval in "
                "the table. Self-BLEU has none, since every text is scored against all the "
                "others: no prompt has a score of its own to leave out.",
                "Type-token ratio not higher, or repeated 4-grams not lower, than the base's.",
            ),
            lambda: scores(block),
            height=60 + 44 * len(_shown(block)),
        ),
        Chart(
            "paired",
            "The same, prompt by prompt",
            Explanation(
                "One line per held-out prompt, from the base's score to the fitted model's.",
                f"The chosen measure on {window}.",
                "None: these are the single prompts behind the means above.",
                "Lines that are flat, or that fall as often as they rise: the mean gain then "
                "comes from a few prompts.",
            ),
            lambda measure: paired(block, measure),
            (Choice("measure", "Measure", measures),),
            height=400,
        ),
    )
