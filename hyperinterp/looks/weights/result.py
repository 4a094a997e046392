"""The result of the look at weights: every changed matrix, and points on the way to them."""

from dataclasses import dataclass

from hyperinterp.brief import Brief
from hyperinterp.claims.spec import Measured
from hyperinterp.drawing.result import Result


@dataclass(frozen=True)
class MatrixChange(Brief):
    """One matrix that differs.

    Attributes:
        name: of its parameter in the Hugging Face model.
        layer: index of its block; None outside the blocks.
        rows: its rows.
        columns: its columns.
        relative: Frobenius norm of the change over that of the old matrix; None where that is 0.
        stable_rank: squared Frobenius norm of the change over its squared spectral norm.
        rank: singular values of the change that stand above rounding.
        spectrum: the largest singular values of the change, up to 64.
        held: share of the squared change in its 1, 4 and 16 largest directions.
        intruders: of the ten leading directions of the new matrix, those with no counterpart of
            cosine 0.5 or more in the old one.
        similarity: the smallest of the ten cosines with the best counterpart.
    """

    name: str
    layer: int | None
    rows: int
    columns: int
    relative: float | None
    stable_rank: float
    rank: int
    spectrum: tuple[float, ...]
    held: tuple[float, float, float]
    intruders: int
    similarity: float


@dataclass(frozen=True)
class PathPoint(Brief):
    """The base with a part of the change.

    Attributes:
        path: "alpha" (base + alpha * change) or "rank" (each matrix's change cut to its largest
            directions, all else that changed as it is in the fitted model).
        value: alpha, or the rank.
        overrides: share of decisions in which it does not choose as the base.
        agreement: share in which it chooses as the fitted model.
        dimension: participation ratio of the last block's output over the same rows.
        growth: that minus the base's.
        ttr: type-token ratio of its greedy text.
        surprisal: of that text under the base, nats per token.
        example: one continuation.
    """

    path: str
    value: float
    overrides: Measured
    agreement: Measured
    dimension: float
    growth: float
    ttr: Measured
    surprisal: Measured
    example: str


@dataclass(frozen=True)
class WeightsResult(Result):
    """The change of the weights.

    Attributes:
        matrices: every matrix that differs, in the model's order.
        same: number of matrices that are equal.
        others: parameters that are no matrices and differ, e.g. gains of norms.
        points: on the paths, by path and value; none where nothing differs.
        contexts: decisions behind their shares.
    """

    matrices: tuple[MatrixChange, ...]
    same: int
    others: tuple[str, ...]
    points: tuple[PathPoint, ...] = ()
    contexts: int = 0
