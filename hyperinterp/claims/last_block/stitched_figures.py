"""C6: the text that stitched models write."""

from hyperinterp.claims.last_block.patches import DIRECTIONS, INTO_BASE, INTO_FITTED
from hyperinterp.claims.last_block.result import LastBlockResult
from hyperinterp.drawing.chart import Chart, Choice, dots
from hyperinterp.drawing.escape import label
from hyperinterp.drawing.sketch import Sketch
from hyperinterp.drawing.subtitle import behind
from hyperinterp.drawing.theme import BASE, FITTED, MUTED
from hyperinterp.drawing.words import explained

TEXT = {
    "ttr": "type-token ratio",
    "rep_4": "repeated 4-grams",
    "gain_share": "share of the diversity gain",
}


def stitched(block: LastBlockResult, measure: str) -> Sketch | None:
    """Diversity of each stitched model's text, between those of the models as they are."""
    texts = (*block.unchanged[:1], *block.stitched, *block.unchanged[1:])
    if not block.stitched:
        return None
    figure = Sketch(TEXT[measure])
    names = [label(item.label, 40) for item in texts]
    for direction, colour in ((INTO_BASE, FITTED), (INTO_FITTED, BASE), ("", MUTED)):
        rows = [row for row, item in enumerate(texts) if item.direction == direction]
        figures = [getattr(texts[row], measure) for row in rows]
        labels = [names[row] for row in rows]
        if rows:
            name = DIRECTIONS.get(direction, "nothing patched")
            figure.data.append(dots(rows, figures, name, colour, labels))
    for item in block.unchanged:
        value = getattr(item, measure).value
        if value is not None:
            figure.level(value, "", vertical=True)
    figure.rows(names)
    figure.xaxis(rangemode="tozero")
    figure.sample = behind(getattr(item, measure) for item in texts)
    return figure


def _written(block: LastBlockResult) -> tuple[tuple[str, str], ...]:
    """The measures that some stitched model has."""
    return tuple(
        (name, words)
        for name, words in TEXT.items()
        if any(getattr(item, name).value is not None for item in block.stitched)
    )


def stitched_charts(block: LastBlockResult) -> tuple[Chart, ...]:
    """The chart of the stitched models' text; none when no stitched model has a score."""
    measures = _written(block)
    if not measures:
        return ()
    return (
        Chart(
            "stitched", *explained(__package__, "stitched"),
            lambda measure: stitched(block, measure), (Choice("measure", "Measure", measures),),
            height=90 + 36 * (len(block.stitched) + len(block.unchanged)),
        ),
    )  # fmt: skip
