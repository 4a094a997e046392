"""Tables of the look at weights: points on the paths, and every matrix."""

from hyperinterp.drawing.escape import clip
from hyperinterp.drawing.table import Table, table
from hyperinterp.looks.weights.result import PathPoint, WeightsResult


def tables(result: WeightsResult) -> tuple[Table, ...]:
    """Return the tables, the main one first."""
    return (_points(result), _matrices(result))


def words(point: PathPoint) -> str:
    """Return the model of one point in words."""
    if point.path == "rank":
        return f"base + change cut to rank {point.value:g}"
    named = {0.0: "base", 1.0: "fitted"}
    return named.get(point.value, f"base + {point.value:g} * change")


def _points(result: WeightsResult) -> Table:
    return table(
        "points", "Between base and fitted",
        (
            {
                "model": words(item), "path": item.path, "value": item.value,
                "overrides": item.overrides, "agreement": item.agreement,
                "dimension": item.dimension, "growth": item.growth, "ttr": item.ttr,
                "surprisal": item.surprisal, "example": item.example,
            }
            for item in result.points
        ),
        {
            "model": "model", "overrides": "overrides", "growth": "growth",
            "ttr": "type-token ratio", "surprisal": "surprisal, nats",
            "example": ("example", lambda text: clip(text, 160)),
        },
        note="Growth: participation ratio of the last block's output minus the base's. Surprisal: "
        "of the model's own greedy text under the base, per token.",
        missing="no parameter differs",
    )  # fmt: skip


def _matrices(result: WeightsResult) -> Table:
    count = len(result.others)
    others = f"; {count} other parameters do" if count else ", and no other parameter does"
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
        missing=f"no matrix differs{others}",
        shut=True,
        brief=tuple(range(len(result.matrices)))[-3:],
    )  # fmt: skip
