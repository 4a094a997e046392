"""Tables of the look at weights: points on the paths, and every matrix."""

from hyperinterp.drawing.escape import clip
from hyperinterp.drawing.table import Table, table
from hyperinterp.looks.weights.result import WeightsResult


def tables(result: WeightsResult) -> tuple[Table, ...]:
    """Return the tables, the main one first."""
    return (_points(result), _matrices(result))


def _points(result: WeightsResult) -> Table:
    return table(
        "points", "Between base and fitted",
        (
            {
                "path": item.path, "value": item.value, "overrides": item.overrides,
                "agreement": item.agreement, "dimension": item.dimension, "growth": item.growth,
                "ttr": item.ttr, "surprisal": item.surprisal, "example": item.example,
            }
            for item in result.points
        ),
        {
            "path": "path", "value": "alpha or rank", "overrides": "overrides",
            "agreement": "agreement with fitted", "growth": "growth of the last block's output",
            "ttr": "type-token ratio", "surprisal": "surprisal under the base, nats",
            "example": ("example", lambda text: clip(text, 160)),
        },
        note="alpha: base + alpha * change. rank: each matrix's change cut to its largest "
        "directions.",
    )  # fmt: skip


def _matrices(result: WeightsResult) -> Table:
    return table(
        "matrices", "Matrices that differ",
        (
            {
                "name": item.name, "layer": item.layer, "rows": item.rows,
                "columns": item.columns, "relative": item.relative,
                "stable_rank": item.stable_rank, "rank": item.rank,
                **{
                    f"held_{count}": share
                    for count, share in zip((1, 4, 16), item.held, strict=True)
                },
                "intruders": item.intruders, "similarity": item.similarity,
            }
            for item in result.matrices
        ),
        {
            "name": "matrix", "relative": "relative change", "stable_rank": "stable rank",
            "rank": "rank", "held_4": "held by 4 directions", "intruders": "intruders of 10",
            "similarity": "least similarity",
        },
        note=f"{result.same} other matrices are equal; {len(result.others)} parameters that are "
        "no matrices differ.",
        shut=True,
        brief=tuple(range(len(result.matrices)))[-3:],
    )  # fmt: skip
