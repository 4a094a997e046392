"""Linear centred kernel alignment of two sets of paired rows, at once or streamed."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from probes._foreign import Array, real, widen
from probes.devices import has_float64

_CHUNK = 4096


def _alignment(cross: Tensor, x: Tensor, y: Tensor) -> Float[Tensor, ""]:
    """|cross|_F^2 / (|x|_F |y|_F) from (co)variance matrices of one common divisor."""
    scale = torch.linalg.vector_norm(x) * torch.linalg.vector_norm(y)
    if float(scale) == 0:
        raise ValueError("x, y: expected rows that differ, found no variance (CKA is undefined)")
    return (torch.linalg.vector_norm(cross).square() / scale).clamp(0.0, 1.0)


def linear_cka(x: Array, y: Array) -> Float[Tensor, ""]:
    """Linear CKA of paired rows, in [0, 1].

    |Xc^T Yc|_F^2 / (|Xc^T Xc|_F |Yc^T Yc|_F) with centred columns: the feature-space form of
    Kornblith et al. 2019, arXiv:1905.00414, eq. 5. Not changed by rotations, by isotropic scaling
    or by shifts of either side; biased upwards when there are few rows for the width.

    Args:
        x: Shape [n d1].
        y: Shape [n d2]; row i belongs to row i of `x`.

    Returns:
        A float64 scalar.

    Raises:
        ValueError: for fewer than two rows, row counts that differ, rows without variance, an
            empty input, NaN or infinity.

    >>> x = torch.tensor([[1.0, 0.0], [0.0, 1.0], [2.0, 3.0]])
    >>> round(float(linear_cka(x, 5 * x.flip(1) + 1)), 6)
    1.0
    """
    a = widen(real(x, "x", ndim=2, axes="[n d1]"), "x")
    b = widen(real(y, "y", ndim=2, axes="[n d2]"), "y")
    if len(a) != len(b) or len(a) < 2:
        raise ValueError(f"x, y: expected the same 2 rows or more, found {len(a)} and {len(b)}")
    a, b = _centred(a), _centred(b)
    return _alignment(a.mT @ b, a.mT @ a, b.mT @ b)


def _centred(x: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """Rows less their mean, over the largest entry (CKA ignores scale, products may overflow)."""
    centred = x - x.mean(0)
    largest = centred.abs().max()
    # A constant column leaves rounding of its mean behind: that is no variance.
    if float(largest) <= 1e-14 * float(x.abs().max()):
        return torch.zeros_like(x)
    return centred / largest


class CrossMoments:
    """Streaming cross second moment of paired rows x in R^d1 and y in R^d2.

    Holds n, the two sums and sum x y^T in float64: additive, so accumulators merge and states
    all-reduce by adding. With the population covariances of the same rows (`Moments.covariance`)
    it gives linear CKA.

    Args:
        d1: Width of a row of x.
        d2: Width of a row of y.
        device: Where the sums live. None: where the first rows of x are, or the CPU if that
            device has no float64.

    >>> both = CrossMoments(1, 1)
    >>> both.add(torch.tensor([[0.0], [2.0]]), torch.tensor([[0.0], [4.0]]))
    >>> both.n, both.cross_covariance().tolist()
    (2, [[2.0]])
    """

    def __init__(self, d1: int, d2: int, device: torch.device | str | None = None) -> None:
        if d1 < 1 or d2 < 1:
            raise ValueError(f"d1, d2: expected widths of 1 or more, found {d1} and {d2}")
        self.d1, self.d2, self.n = d1, d2, 0
        self._settled = device is not None
        self._sum_x = torch.zeros(d1, dtype=torch.float64, device=device)
        self._sum_y = torch.zeros(d2, dtype=torch.float64, device=device)
        # [d1 d2] is allocated when there are rows: on their device, and nowhere before.
        self._cross: Tensor | None = None

    def add(self, x: Array, y: Array) -> None:
        """Take in paired rows [... d1] and [... d2].

        Raises:
            ValueError: for widths or leading shapes that do not fit, no rows, NaN or infinity;
                the sums are then as they were.
        """
        a, b = real(x, "x", axes="[... d1]"), real(y, "y", axes="[... d2]")
        if a.shape[-1] != self.d1 or b.shape[-1] != self.d2 or a.shape[:-1] != b.shape[:-1]:
            raise ValueError(
                f"x, y: expected [... {self.d1}] and [... {self.d2}] with equal leading shapes, "
                f"found {list(a.shape)} and {list(b.shape)}"
            )
        a, b = a.reshape(-1, self.d1), b.reshape(-1, self.d2)
        self._settle(a.device if has_float64(a.device) else torch.device("cpu"))
        cross = self._allocated()
        sums = [torch.zeros_like(s) for s in (self._sum_x, self._sum_y, cross)]
        for p, q in zip(a.split(_CHUNK), b.split(_CHUNK), strict=True):
            p, q = widen(p, "x"), widen(q, "y")
            parts = (p.sum(0), q.sum(0), p.mT @ q.to(p.device))
            for total, part in zip(sums, parts, strict=True):
                total += part.to(total.device)
        self._sum_x += sums[0]
        self._sum_y += sums[1]
        cross += sums[2]
        self.n += len(a)

    @torch.inference_mode(False)
    def _allocated(self) -> Float[Tensor, "d1 d2"]:
        """The sum of x y^T, zero before the first rows."""
        if self._cross is None:
            self._cross = self._sum_x.new_zeros(self.d1, self.d2)
        return self._cross

    @torch.inference_mode(False)
    def _settle(self, device: torch.device) -> None:
        """Keep the sums here from now on, unless they have a place."""
        if self._settled:
            return
        self._settled = True
        self._sum_x, self._sum_y = self._sum_x.to(device), self._sum_y.to(device)

    def merge(self, other: "CrossMoments") -> "CrossMoments":
        """Take in the rows behind `other`, in place; returns self. `other` is not changed."""
        if (other.d1, other.d2) != (self.d1, self.d2):
            raise ValueError(
                f"other: expected widths {self.d1} and {self.d2}, found {other.d1} and {other.d2}"
            )
        if other._cross is None:
            return self
        self._settle(other._cross.device)
        self._sum_x += other._sum_x.to(self._sum_x.device)
        self._sum_y += other._sum_y.to(self._sum_y.device)
        cross = self._allocated()
        cross += other._cross.to(cross.device)
        self.n += other.n
        return self

    def cross_covariance(self) -> Float[Tensor, "d1 d2"]:
        """Population cross-covariance [d1 d2] (divided by n)."""
        if self.n < 1 or self._cross is None:
            raise ValueError("CrossMoments: expected at least one row, found none")
        return self._cross / self.n - torch.outer(self._sum_x, self._sum_y) / self.n**2

    def linear_cka(self, cov_x: Array, cov_y: Array) -> Float[Tensor, ""]:
        """Linear CKA in [0, 1], given the population covariances of the same rows.

        Args:
            cov_x: Shape [d1 d1], divided by n (as `Moments.covariance`).
            cov_y: Shape [d2 d2].

        Raises:
            ValueError: for shapes that do not fit, no variance, NaN or infinity.
        """
        out = self.cross_covariance()
        x = widen(real(cov_x, "cov_x", ndim=2, axes="[d1 d1]"), "cov_x").to(out.device)
        y = widen(real(cov_y, "cov_y", ndim=2, axes="[d2 d2]"), "cov_y").to(out.device)
        for matrix, width, name in ((x, self.d1, "cov_x"), (y, self.d2, "cov_y")):
            if matrix.shape != (width, width):
                raise ValueError(f"{name}: expected [{width} {width}], found {list(matrix.shape)}")
        return _alignment(out, x, y)

    def state(self) -> dict[str, Tensor]:
        """Plain tensors that hold everything; states of disjoint rows add up key by key."""
        return {
            "n": torch.tensor(self.n, dtype=torch.int64),
            "sum_x": self._sum_x.clone(),
            "sum_y": self._sum_y.clone(),
            "cross": self._allocated().clone(),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor]) -> "CrossMoments":
        """The accumulator that `state()` came from."""
        missing = {"n", "sum_x", "sum_y", "cross"} - set(state)
        if missing:
            raise ValueError(f"state: expected n, sum_x, sum_y, cross; missing {sorted(missing)}")
        d1, d2 = len(state["sum_x"]), len(state["sum_y"])
        if state["cross"].shape != (d1, d2):
            raise ValueError(f"state: expected cross [{d1} {d2}], found another shape")
        out = cls(d1, d2, state["cross"].device)
        out.n = int(state["n"])
        out._sum_x = state["sum_x"].to(torch.float64, copy=True)
        out._sum_y = state["sum_y"].to(torch.float64, copy=True)
        out._cross = state["cross"].to(torch.float64, copy=True)
        return out
