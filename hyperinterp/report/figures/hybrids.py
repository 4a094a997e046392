"""C6: the text that hybrids write."""

from hyperinterp.analyses.exchanges import INTO_BASE, INTO_FITTED
from hyperinterp.analyses.transplant import TransplantBlock
from hyperinterp.drawing.chart import Chart, Choice, Explanation, dots
from hyperinterp.drawing.escape import label
from hyperinterp.drawing.sketch import Sketch
from hyperinterp.drawing.subtitle import behind
from hyperinterp.drawing.theme import BASE, FITTED, MUTED

TEXT = {
    "ttr": "type-token ratio",
    "rep_4": "repeated 4-grams",
    "gain_share": "share of the diversity gain",
}


def hybrids(block: TransplantBlock, measure: str) -> Sketch | None:
    """Diversity of the text that each hybrid writes, between those of the models as they are."""
    texts = (*block.unchanged[:1], *block.hybrids, *block.unchanged[1:])
    if not block.hybrids:
        return None
    figure = Sketch(TEXT[measure])
    names = [label(item.label, 40) for item in texts]
    for direction, colour in ((INTO_BASE, FITTED), (INTO_FITTED, BASE), ("", MUTED)):
        rows = [row for row, item in enumerate(texts) if item.direction == direction]
        figures = [getattr(texts[row], measure) for row in rows]
        labels = [names[row] for row in rows]
        if rows:
            name = direction or "nothing exchanged"
            figure.data.append(dots(rows, figures, name, colour, labels))
    for item in block.unchanged:
        value = getattr(item, measure).value
        if value is not None:
            figure.level(value, "", vertical=True)
    figure.rows(names)
    figure.xaxis(rangemode="tozero")
    figure.sample = behind(getattr(item, measure) for item in texts)
    return figure


def _written(block: TransplantBlock) -> tuple[tuple[str, str], ...]:
    """The measures that some hybrid has."""
    return tuple(
        (name, words)
        for name, words in TEXT.items()
        if any(getattr(item, name).value is not None for item in block.hybrids)
    )


def hybrid_charts(block: TransplantBlock) -> tuple[Chart, ...]:
    """The chart of the hybrids' text; none when no hybrid has a score."""
    measures = _written(block)
    if not measures:
        return ()
    return (
        Chart(
            "hybrids", "What the hybrids write",
            Explanation(
                "Diversity of greedy text written by models with exchanged blocks, beside both "
                "models as they are (grey, dotted).",
                "The chosen measure; share of the gain: 0 is the base, 1 is the fitted model.",
                "Bars: intervals over prompts.",
                "The hybrid with the last block alone as repetitive as the base.",
            ),
            lambda measure: hybrids(block, measure), (Choice("measure", "Measure", measures),),
            height=90 + 36 * (len(block.hybrids) + len(block.unchanged)),
        ),
    )  # fmt: skip
