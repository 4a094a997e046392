"""Mean and covariance of any number of rows, in memory that does not grow with them."""

from collections.abc import Mapping

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from probes._foreign import Array, real, widen
from probes.devices import has_float64

from .spectrum import Spectrum, spectrum_of
from .symmetric import mirrored, strips, working_dtype

_CHUNK = 4096
"""Rows per float32 matmul: bounds its rounding, and the memory of the shifted copy."""

_LARGEST = {torch.float32: 1e15, torch.float64: 1e140}
"""Largest magnitude whose squares can be added up in a dtype without overflow."""


class Moments:
    """Streaming count, sum and second moment of rows in R^d, exact to add, merge and subtract.

    Rows are shifted by a fixed reference (the mean of the first rows seen) before they are
    multiplied, which keeps a float32 matmul accurate under a large mean; all sums are kept in
    float64 about that reference, so accumulators with different references merge by algebra.

    Args:
        d: width of a row.
        device: where the sums live. None: where the first rows are, or the CPU without float64.
        compute_dtype: dtype of the shift and the matmul, float32 or float64. Rows in a wider
            dtype are computed in theirs; float16 and bfloat16 rows are widened first.

    Products are symmetric: on a CPU only the strips from their diagonal on are made, and the rest
    is mirrored when it is read.

    Memory: [d d] in float64, and until a flush [d d] in the compute dtype, whatever the number of
    rows.

    >>> import torch
    >>> rows = torch.tensor([[0.0, 1.0], [2.0, 1.0], [4.0, 4.0]])
    >>> both = Moments.from_rows(rows[:1]).merge(Moments.from_rows(rows[1:]))
    >>> both.n, both.mean.tolist()
    (3, [2.0, 2.0])
    >>> (both - Moments.from_rows(rows[2:])).mean.tolist()
    [1.0, 1.0]
    """

    # Here and below: buffers born in inference mode could not be updated outside it.
    @torch.inference_mode(False)
    def __init__(
        self,
        d: int,
        device: torch.device | str | None = None,
        compute_dtype: torch.dtype = torch.float32,
    ) -> None:
        if d < 1:
            raise ValueError(f"d: expected a width of 1 or more, found {d}")
        if compute_dtype not in (torch.float32, torch.float64):
            raise ValueError(
                f"compute_dtype: expected torch.float32 or torch.float64, found {compute_dtype}"
            )
        self.d = d
        self.n = 0
        self.compute_dtype = compute_dtype
        self._device = None if device is None else torch.device(device)
        self._shift: Tensor | None = None
        self._sum: Tensor = torch.zeros(d, dtype=torch.float64, device=self._device)
        self._second: Tensor | None = None
        self._pending: Tensor | None = None  # only the strips that `strips` gives are written
        self._pending_rows = 0

    @classmethod
    def from_rows(cls, rows: Array, compute_dtype: torch.dtype = torch.float32) -> "Moments":
        """The moments of rows [... d] (leading axes are flattened)."""
        tensor = real(rows, "rows", axes="[... d]")
        out = cls(tensor.shape[-1], compute_dtype=compute_dtype)
        out.add(tensor)
        return out

    @torch.no_grad()
    @torch.inference_mode(False)
    def add(self, rows: Array) -> None:
        """Take in rows [... d]; on a CPU little more than half of a [d n] x [n d] matmul.

        No rows at all are allowed.

        Raises:
            ValueError: if the width is not d, or if an entry is NaN, infinite, or so large that
                its square overflows. The state is then as it was before.
        """
        tensor = rows if isinstance(rows, Tensor) and not rows.numel() else real(rows, "rows")
        if tensor.ndim < 1 or tensor.shape[-1] != self.d:
            raise ValueError(f"rows: expected [... {self.d}], found {list(tensor.shape)}")
        flat = tensor.detach().reshape(-1, self.d)
        if not len(flat):
            return
        dtype = working_dtype(flat.dtype, self.compute_dtype, flat.device)
        low, high = (float(x) for x in torch.aminmax(flat))
        limit = _LARGEST[dtype]
        if not -limit <= low <= high <= limit:
            raise ValueError(
                f"rows: expected finite entries within {limit:.0e}, found [{low:.6g}, {high:.6g}]"
            )
        with torch.autocast(flat.device.type, enabled=False):
            for start in range(0, len(flat), _CHUNK):
                self._add_chunk(flat[start : start + _CHUNK], dtype)

    def _add_chunk(self, rows: Tensor, dtype: torch.dtype) -> None:
        shift = self._reference(rows)
        centred = rows.to(dtype) - shift.to(rows.device, dtype)
        total = centred.sum(0)
        pending = self._pending
        if pending is not None and (pending.dtype, pending.device) != (dtype, rows.device):
            self.flush()
            pending = None
        keep = 0 if pending is None else 1
        if pending is None:
            pending = torch.empty(self.d, self.d, dtype=dtype, device=rows.device)
            self._pending = pending
        for start, stop in strips(self.d, rows.device):
            strip = pending[start:stop, start:]
            torch.addmm(strip, centred.T[start:stop], centred[:, start:], beta=keep, out=strip)
        self._pending_rows += len(rows)
        self._shift = shift
        self.n += len(rows)
        self._sum += total.to(self._sum)
        if self._pending_rows >= _CHUNK:
            self.flush()

    @torch.inference_mode(False)
    def flush(self) -> None:
        """Move the products that wait in the compute dtype into the float64 sum.

        Rows added before and after a flush never meet in the compute dtype: flushed after every
        batch, accumulators on one reference that share the batches add up to the same sums, to
        float64 rounding, however the batches are dealt out.
        """
        if self._pending is None:
            return
        if self._second is None:
            self._second = torch.diag(torch.zeros_like(self._sum))
        for start, stop in strips(self.d, self._pending.device):
            strip = self._pending[start:stop, start:]
            self._second[start:stop, start:] += strip.to(self._sum.device)
        self._pending, self._pending_rows = None, 0

    def _reference(self, rows: Tensor) -> Tensor:
        """The fixed shift: chosen at the first rows, a float32 number so that casts are exact."""
        if self._shift is not None:
            return self._shift
        wide = has_float64(rows.device)
        mean = rows.to(torch.float64 if wide else torch.float32).mean(0)
        if self._device is None:
            self._device = rows.device if wide else torch.device("cpu")
            self._sum = self._sum.to(self._device)
        return mean.to(self._device).clamp(-1e30, 1e30).to(torch.float32).to(torch.float64)

    @torch.inference_mode(False)
    def rebase(self, shift: Float[Tensor, " d"]) -> "Moments":
        """Express the sums about another reference [d], in place (exact algebra in float64).

        Accumulators on one reference add term by term, so a group of processes can agree on a
        reference and all-reduce the `state()`. Before the first rows it sets the reference (a
        float32 number, as `reference` gives it).
        """
        if shift.shape != (self.d,):
            raise ValueError(f"shift: expected [{self.d}], found {list(shift.shape)}")
        target = shift.to(self._sum)
        self.flush()
        if self._shift is not None and self._second is not None:
            move = self._shift - target
            cross = torch.outer(self._sum, move)
            self._second += cross + cross.T + self.n * torch.outer(move, move)
            self._sum += self.n * move
        self._shift = target.clone()
        return self

    @property
    def reference(self) -> Float64[Tensor, " d"] | None:
        """The shift that rows are taken about; None before the first rows."""
        return self._shift

    def merge(self, other: "Moments") -> "Moments":
        """Take in the rows behind `other`, in place; returns self. `other` is not changed."""
        return self._combine(other, 1)

    def minus(self, other: "Moments") -> "Moments":
        """The moments of the rows here without those behind `other` (a subset of them)."""
        if other.n > self.n:
            raise ValueError(f"other: expected at most {self.n} rows to remove, found {other.n}")
        return self._copy()._combine(other, -1)

    __sub__ = minus

    @torch.inference_mode(False)
    def _combine(self, other: "Moments", sign: int) -> "Moments":
        if other.d != self.d:
            raise ValueError(f"other: expected width {self.d}, found {other.d}")
        if other._shift is None:
            return self
        self.flush()
        if self._device is None:
            self._device = other._sum.device
            self._sum = self._sum.to(self._device)
        if self._shift is None:
            self._shift = other._shift.to(self._device, copy=True)
        moved = other._copy(self._device).rebase(self._shift)
        assert moved._second is not None
        self.n += sign * moved.n
        self._sum += sign * moved._sum
        change, mine = moved._second.mul(sign), self._second
        self._second = change if mine is None else mine.add_(change)
        return self

    def _copy(self, device: torch.device | None = None) -> "Moments":
        self.flush()
        out = Moments(self.d, device or self._device, self.compute_dtype)
        out.n = self.n
        out._sum = self._sum.to(out._sum.device, copy=True)
        if self._shift is not None and self._second is not None:
            out._shift = self._shift.to(out._sum.device, copy=True)
            out._second = self._second.to(out._sum.device, copy=True)
        return out

    @torch.inference_mode(False)
    def scaled(self, scale: Array) -> "Moments":
        """The moments of the rows times `scale` [d], without a second look at the rows."""
        factor = widen(real(scale, "scale", ndim=1, axes="[d]"), "scale").to(self._sum.device)
        if factor.shape != (self.d,):
            raise ValueError(f"scale: expected [{self.d}], found {list(factor.shape)}")
        out = self._copy()
        out._sum *= factor
        if out._shift is not None and out._second is not None:
            out._shift *= factor
            out._second *= torch.outer(factor, factor)
        return out

    @property
    def mean(self) -> Float64[Tensor, " d"]:
        """Mean row [d]."""
        shift, _ = self._sums()
        return shift + self._sum / self.n

    def covariance(self) -> Float64[Tensor, "d d"]:
        """Population covariance [d d] (divided by n), about the mean."""
        _, upper = self._sums()
        mean = self._sum / self.n
        return mirrored(upper) / self.n - torch.outer(mean, mean)

    def second_moment(self) -> Float64[Tensor, "d d"]:
        """Mean of x x^T [d d], about zero."""
        mean = self.mean
        return self.covariance() + torch.outer(mean, mean)

    def spectrum(self, vectors: bool = False, device: torch.device | str | None = None) -> Spectrum:
        """Eigenvalues (and, on request, eigenvectors) of the covariance.

        Args:
            vectors: also the eigenvectors.
            device: where they are solved for and lie; it needs float64. None: where the sums are.
        """
        covariance, mean = self.covariance().to(device), self.mean.to(device)
        return spectrum_of(covariance, n=self.n, mean=mean, vectors=vectors)

    def _sums(self) -> tuple[Tensor, Tensor]:
        """The reference, and the second moment about it, of which the upper triangle counts."""
        self.flush()
        if self.n < 1 or self._shift is None or self._second is None:
            raise ValueError("Moments: expected at least one row, found none")
        return self._shift, self._second

    def state(self) -> dict[str, Tensor]:
        """Plain tensors that hold everything: n (int64), shift, sum [d] and second [d d]."""
        self.flush()
        zero = torch.zeros_like(self._sum)
        return {
            "n": torch.tensor(self.n, dtype=torch.int64),
            "shift": zero if self._shift is None else self._shift.clone(),
            "sum": self._sum.clone(),
            "second": torch.diag(zero) if self._second is None else mirrored(self._second),
        }

    @classmethod
    @torch.inference_mode(False)
    def from_state(cls, state: Mapping[str, Tensor]) -> "Moments":
        """The accumulator that `state()` came from."""
        missing = {"n", "shift", "sum", "second"} - set(state)
        if missing:
            raise ValueError(f"state: expected n, shift, sum, second; missing {sorted(missing)}")
        d = state["sum"].shape[-1]
        if state["second"].shape != (d, d) or state["shift"].shape != (d,):
            raise ValueError(f"state: expected [{d}], [{d} {d}], found other shapes")
        out = cls(d, state["sum"].device)
        out.n = int(state["n"])
        if out.n:
            kept = (state[name].to(torch.float64, copy=True) for name in ("shift", "sum", "second"))
            out._shift, out._sum, out._second = kept
        return out
