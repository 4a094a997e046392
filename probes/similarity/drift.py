"""Drift of activations: relative distance and cosine of paired rows."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from probes._foreign import Array, real, same_shape, widen
from probes.slices import row_slices


@dataclass(frozen=True)
class DriftMeans:
    """Means over rows.

    Attributes:
        n: Rows behind the means.
        skipped: Rows left out because x or y is zero there.
        distance: Mean of |y - x|_2.
        relative: Mean of |y - x|_2 / |x|_2, in [0, inf).
        cosine: Mean cosine of x and y, in [-1, 1].
        pooled: sqrt(sum |y - x|^2 / sum |x|^2): large rows weigh more.
    """

    n: int
    skipped: int
    distance: float
    relative: float
    cosine: float
    pooled: float


@dataclass(frozen=True)
class Drift:
    """Drift of each row and on average.

    Attributes:
        relative: |y - x|_2 / |x|_2 per row, shape [...]; 0 where not `defined`.
        cosine: Cosine of x and y per row, in [-1, 1]; 0 where not `defined`.
        distance: |y - x|_2 per row.
        defined: False where x or y is a zero row.
        means: Means over the defined rows.
    """

    relative: Float[Tensor, "*rows"]
    cosine: Float[Tensor, "*rows"]
    distance: Float[Tensor, "*rows"]
    defined: Bool[Tensor, "*rows"]
    means: DriftMeans


class DriftAccumulator:
    """Streaming sums behind `DriftMeans`; additive, so they merge across batches and processes.

    >>> sums = DriftAccumulator()
    >>> sums.add(torch.tensor([[3.0, 4.0]]), torch.tensor([[3.0, 0.0]]))
    >>> sums.result().relative
    0.8
    """

    def __init__(self) -> None:
        # n, skipped, distance, relative, cosine, squared distance, squared norm of x.
        self._sums = torch.zeros(7, dtype=torch.float64)

    def add(self, x: Array, y: Array) -> None:
        """Take in paired rows [... d]. Raises ValueError as `drift`; the sums then stay."""
        self._sums += _totals(_rows(x, y))

    def merge(self, other: "DriftAccumulator") -> "DriftAccumulator":
        """Take in the rows behind `other`, in place; returns self."""
        self._sums += other._sums
        return self

    @property
    def n(self) -> int:
        """Rows in which neither side is zero: those behind the means."""
        return int(self._sums[0])

    @property
    def identical(self) -> bool:
        """Return True where every pair of rows was one row twice, and not zero."""
        _, skipped, _, _, _, moved, _ = self._sums.tolist()
        return self.n > 0 and skipped == 0 and moved == 0

    def result(self) -> DriftMeans:
        """The means. Raises ValueError where no row is defined."""
        return _means(self._sums)

    def state(self) -> dict[str, Tensor]:
        """Plain tensors that hold everything; states of disjoint rows add up."""
        return {"sums": self._sums.clone()}

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor]) -> "DriftAccumulator":
        """The accumulator that `state()` came from."""
        out = cls()
        if "sums" not in state or state["sums"].shape != (7,):
            raise ValueError("state: expected one entry `sums` of shape [7]")
        out._sums = state["sums"].cpu().to(torch.float64, copy=True)
        return out


def _rows(x: Array, y: Array) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Relative distance, cosine, distance, defined and |x| of each row, each of shape [...]."""
    a, b = real(x, "x", axes="[... d]"), real(y, "y", axes="[... d]")
    same_shape(a, b, "x", "y")
    lead, a, b = a.shape[:-1], a.reshape(-1, a.shape[-1]), b.reshape(-1, b.shape[-1])
    parts: list[tuple[Tensor, ...]] = []
    for rows in row_slices(*a.shape, device=a.device):
        p, q = widen(a[rows], "x"), widen(b[rows], "y")
        size_p, size_q = p.norm(dim=-1), q.norm(dim=-1)
        distance = (q - p).norm(dim=-1)
        defined = (size_p > 0) & (size_q > 0)
        one = torch.ones_like(size_p)
        safe_p, safe_q = torch.where(defined, size_p, one), torch.where(defined, size_q, one)
        cosine = torch.einsum("nd,nd->n", p / safe_p[:, None], q / safe_q[:, None])
        relative = torch.where(defined, distance / safe_p, 0.0)
        parts.append((relative, cosine.clamp(-1.0, 1.0) * defined, distance, defined, size_p))
    relative, cosine, distance, defined, norm = (
        torch.cat(column).reshape(lead) for column in zip(*parts, strict=True)
    )
    return relative, cosine, distance, defined, norm


def _totals(found: tuple[Tensor, Tensor, Tensor, Tensor, Tensor]) -> Float[Tensor, " 7"]:
    relative, cosine, distance, defined, norm = found
    n = defined.sum()
    parts = [
        n,
        defined.numel() - n,
        distance[defined].sum(),
        relative.sum(),
        cosine.sum(),
        distance[defined].square().sum(),
        norm[defined].square().sum(),
    ]
    return torch.stack([part.cpu().to(torch.float64) for part in parts])


def _means(totals: Float[Tensor, " 7"]) -> DriftMeans:
    n, skipped, distance, relative, cosine, moved, size = totals.tolist()
    if n == 0:
        raise ValueError(f"x, y: expected a pair of rows that are not zero, skipped {skipped:.0f}")
    pooled = (moved / size) ** 0.5
    return DriftMeans(int(n), int(skipped), distance / n, relative / n, cosine / n, pooled)


def drift(x: Array, y: Array) -> Drift:
    """Relative L2 distance and cosine between paired rows, and their means.

    Args:
        x: Shape [... d], the reference (the base model).
        y: The same shape (the fitted model).

    Returns:
        A `Drift` in float64. Rows where x or y is zero have no relative distance or cosine: they
        are False in `defined`, hold 0 and are left out of the means.

    Raises:
        ValueError: for shapes or devices that differ, an empty input, NaN or infinity, or no
            defined row.

    >>> drift(torch.tensor([[3.0, 4.0]]), torch.tensor([[3.0, 0.0]])).cosine
    tensor([0.6000], dtype=torch.float64)
    """
    found = _rows(x, y)
    relative, cosine, distance, defined, _ = found
    return Drift(relative, cosine, distance, defined, _means(_totals(found)))
