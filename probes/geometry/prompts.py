"""Intervals on geometry, with the prompt as the unit, from a second streaming pass."""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
# (torch's own annotations leave these open.)

import math
from collections.abc import Mapping
from functools import cached_property

import torch
from jaxtyping import Float64
from torch import Tensor

from probes._foreign import Array, real, widen

from .leave_out import FIGURES, Drop, LeaveOneOut, Unit, stacked, unstacked
from .seen import mark, marks
from .spectrum import Spectrum
from .symmetric import working_dtype

_STRIP = 1 << 17  # entries of a strip of M_g per thread: with its copies, in a core's cache

_STATE = frozenset(
    {"seen", "units", "counts", "n", "sums", "axes", "shift", "off", "own_mean_off"}
    | {"weighted_off"}
)


class PromptSpectra:
    """Second-pass accumulator: what each prompt contributes to a spectrum that is already known.

    The first pass (`Moments`) gives the mean and the eigenvectors V; this pass keeps, per prompt
    g with rows x, n_g, V^T sum(x - mean) [d], diag(V^T M_g V) [d], the shift of the eigenvalues
    [d] and two scalars, which is enough to take the prompt out again:

    - `pr`: exact, the shift of the mean (a rank-one term) included.
    - `pr_corrected`: the estimator of `corrected_participation_ratio`; exact on the full sample.
      With a prompt left out all is exact but one term of relative size 1/G^2, in which the
      scatter within a prompt counts as diagonal in V's basis.
    - `effective_rank`, `d90`, `d95`, `d99`: eigenvalues to first order, and then pushed apart
      pair by pair (each pair of axes solved as a 2 x 2 problem). First order alone can make
      standard errors two to three times too large. `exact=True` solves each sample that leaves a
      prompt out anew, at O(d^3) per prompt.

    Memory is O(max_groups x d). A prompt with id i goes to unit i mod `max_groups`, so up to that
    many prompts numbered from 0 stay apart, and the result does not depend on the order or on
    how prompts are spread over processes. Prompts that share a unit are left out together; the
    product of the second moments of two of them is then taken from their diagonals in V's basis
    (right on average), and their shifts of the eigenvalues are added.

    Args:
        spectrum: with vectors, mean and n, of the very rows that will be added (times `scale`).
        scale: multiply every row by this vector [d] first (the standardised variant); `spectrum`
            is then `moments.scaled(scale).spectrum(vectors=True)`.
        through: map every row by this matrix [c d] first (what logits see of rows); `spectrum` is
            then of the mapped rows. Not beside `scale`.
        max_groups: most units to keep apart, at least 2.
        compute_dtype: dtype of the projection; float32 or float64, as in `Moments`.
        exact: solve for the eigenvalues of every sample that leaves a prompt out.

    Raises:
        ValueError: if the spectrum lacks something, or an argument is out of range.

    >>> import torch
    >>> from probes import Moments
    >>> rows = torch.randn(6, 30, 8, generator=torch.Generator().manual_seed(0))
    >>> accumulator = PromptSpectra(Moments.from_rows(rows).spectrum(vectors=True))
    >>> for prompt in range(6):
    ...     accumulator.add(rows[prompt], prompt)
    >>> accumulator.leave_one_out().loo["pr_corrected"].shape
    (6,)
    """

    def __init__(
        self,
        spectrum: Spectrum,
        scale: Array | None = None,
        max_groups: int = 256,
        compute_dtype: torch.dtype = torch.float32,
        exact: bool = False,
        through: Array | None = None,
    ) -> None:
        d = spectrum.eigenvalues.shape[0]
        if spectrum.vectors is None or spectrum.mean is None or spectrum.n is None:
            raise ValueError("spectrum: expected vectors, mean and n; use spectrum(vectors=True)")
        if spectrum.vectors.shape != (d, d):
            raise ValueError(
                f"spectrum: expected vectors [{d} {d}], found {list(spectrum.vectors.shape)}"
            )
        if max_groups < 2:
            raise ValueError(f"max_groups: expected 2 or more, found {max_groups}")
        if compute_dtype not in (torch.float32, torch.float64):
            raise ValueError(f"compute_dtype: expected float32 or float64, found {compute_dtype}")
        self.max_groups = max_groups
        self.compute_dtype = compute_dtype
        self.exact = exact
        self._n: int = spectrum.n
        self._variance = spectrum.total
        self._mean: Tensor = spectrum.mean
        self._levels: Tensor = spectrum.eigenvalues * spectrum.n
        self._vectors: Tensor = spectrum.vectors
        self._basis: Tensor | None = None
        self._scale: Tensor | None = None
        if scale is not None:
            factor = widen(real(scale, "scale", ndim=1, axes="[d]"), "scale")
            if factor.shape != (d,):
                raise ValueError(f"scale: expected [{d}], found {list(factor.shape)}")
            self._scale = factor.to(self._mean.device)
        self._through: Tensor | None = None
        if through is not None:
            if scale is not None:
                raise ValueError("through: expected no scale beside it; multiply its rows by it")
            matrix = widen(real(through, "through", ndim=2, axes="[c d]"), "through")
            if matrix.shape[1] != d:
                raise ValueError(f"through: expected [c {d}], found {list(matrix.shape)}")
            self._through = matrix.to(self._mean.device)
        self._seen = bytearray()  # one byte per id: a set of millions of ids is 60 times larger
        self._units: dict[int, Unit] = {}
        self._weighted_off = torch.zeros_like(self._mean)

    @cached_property
    def _axes(self) -> Float64[Tensor, "c d"]:
        """The map from rows to the coordinates of the eigenvectors."""
        return self._vectors if self._through is None else self._through @ self._vectors

    @torch.no_grad()
    def add(self, rows: Array, prompt: int) -> None:
        """Take in all the rows [t d] of one prompt, whose id is a number from 0 on.

        Costs one and a half matmuls, [t d] x [d d] and half of [d t] x [t d], and a few passes
        over half of [d d]; [t c] where rows are mapped.

        Raises:
            ValueError: on a wrong shape, no rows, NaN or infinity, or a prompt added before.
        """
        tensor = real(rows, "rows", ndim=2, axes="[t d]")
        d = len(self._mean if self._through is None else self._through)
        if tensor.shape[1] != d:
            raise ValueError(f"rows: expected [t {d}], found {list(tensor.shape)}")
        if prompt < 0 or (prompt < len(self._seen) and self._seen[prompt]):
            raise ValueError(f"prompt: expected a new id of 0 or more, found {prompt}")
        with torch.inference_mode(False), torch.autocast(self._mean.device.type, enabled=False):
            unit, weighted_off = self._unit(tensor)
        key = prompt % self.max_groups
        self._units[key] = self._units[key].pooled(unit) if key in self._units else unit
        self._weighted_off = self._weighted_off + weighted_off
        mark(self._seen, prompt)

    def _unit(self, rows: Tensor) -> tuple[Unit, Tensor]:
        """The unit of one prompt, and M_g s_g less the part of M_g's diagonal."""
        dtype = working_dtype(rows.dtype, self.compute_dtype, self._mean.device)
        x = rows.to(self._mean.device, torch.float64)
        x = x if self._scale is None else x * self._scale
        if self._basis is None or self._basis.dtype != dtype:
            self._basis = self._axes.to(dtype)
        center = self._mean if self._through is None else x.mean(0)
        y = (x - center).to(dtype) @ self._basis
        if self._through is not None:
            y += (center @ self._axes - self._mean @ self._vectors).to(dtype)
        sums = y.sum(0, dtype=torch.float64)
        axes = y.square().sum(0, dtype=torch.float64)
        off = (y.T @ (y @ sums.to(dtype))).to(torch.float64) - axes * sums
        gram = y @ y.T if len(y) < len(axes) else y.T @ y  # |M_g| is that of either
        own, shift = gram.square().sum(dtype=torch.float64), self._shift(y, sums, axes)
        if not bool(torch.isfinite(own + off.sum())):
            raise ValueError("rows: expected finite entries, found NaN, infinity or an overflow")
        unit = Unit(
            count=1,
            n=len(x),
            sums=sums,
            axes=axes,
            shift=shift,
            off=float(own - axes.square().sum()),
            own_mean_off=float(off @ sums),
        )
        return unit, off

    def _shift(self, y: Tensor, sums: Tensor, axes: Tensor) -> Float64[Tensor, " d"]:
        """The change of the eigenvalues of the sum of all M_g when this prompt leaves.

        M_g = y^T y is made in strips of rows from the diagonal on (it is symmetric), so that no
        [d d] is written to memory on a CPU.
        """
        d = y.shape[1]
        if len(y) >= self._n:
            return -self._levels
        pull = sums / math.sqrt(self._n - len(y))  # the mean moves, too
        if self.exact:
            left = torch.diag(self._levels) - (y.T @ y).to(torch.float64) - torch.outer(pull, pull)
            return torch.linalg.eigvalsh(left).flip(0) - self._levels
        first = -(axes + pull.square())
        level = ((self._levels + first) / 2).to(y.dtype)
        pulled = torch.cat((y, pull.to(y.dtype)[None]))
        tiny = torch.finfo(y.dtype).tiny
        push = torch.zeros_like(level)
        # Several threads lose more to the start of an operation: fewer and larger strips.
        entries = _STRIP * (2 * torch.get_num_threads() - 1)
        step = max(1, min(d, entries // d)) if y.device.type == "cpu" else d
        for start in range(0, d, step):
            stop = min(start + step, d)
            inside = stop - start
            moment = pulled[:, start:stop].T @ pulled[:, start:]
            moment[:, :inside].fill_diagonal_(0)
            half = level[start:stop, None] - level[None, start:]
            squares = moment.square_()
            root = torch.addcmul(squares, half, half).sqrt_().clamp_min_(tiny)
            apart = squares.div_(root.copysign_(half).add_(half))
            push[start:stop] += apart.sum(1)
            push[stop:] -= apart[:, inside:].sum(0)
        return first + push.to(torch.float64)

    def merge(self, other: "PromptSpectra") -> "PromptSpectra":
        """Take in the prompts of `other` (none in common), in place; returns self.

        Both must rest on the same spectrum.
        """
        if other.max_groups != self.max_groups or other._n != self._n:
            raise ValueError(
                f"other: expected max_groups {self.max_groups} and {self._n} rows behind the "
                f"spectrum, found {other.max_groups} and {other._n}"
            )
        length = max(len(self._seen), len(other._seen))
        mine, theirs = marks(self._seen, length), marks(other._seen, length)
        common = (mine & theirs).nonzero()
        if len(common):
            raise ValueError(f"other: expected other prompts, found {int(common[0])} in both")
        for key, unit in other._units.items():
            self._units[key] = self._units[key].pooled(unit) if key in self._units else unit
        self._weighted_off = self._weighted_off + other._weighted_off.to(self._mean.device)
        self._seen = bytearray((mine | theirs).numpy())
        return self

    def state(self) -> dict[str, Tensor]:
        """Plain tensors that hold all that was added (but not the spectrum)."""
        keys = sorted(self._units)
        units = [self._units[k] for k in keys]
        return {
            "seen": marks(self._seen),
            "units": torch.tensor(keys, dtype=torch.int64),
            "weighted_off": self._weighted_off.clone(),
            **stacked(units, width=self._mean.shape[0]),
        }

    @classmethod
    def from_state(
        cls,
        state: Mapping[str, Tensor],
        spectrum: Spectrum,
        scale: Array | None = None,
        max_groups: int = 256,
        compute_dtype: torch.dtype = torch.float32,
        exact: bool = False,
        through: Array | None = None,
    ) -> "PromptSpectra":
        """The accumulator that `state()` came from; the other arguments as it was made with."""
        missing = _STATE - set(state)
        if missing:
            raise ValueError(f"state: expected {sorted(_STATE)}, missing {sorted(missing)}")
        out = cls(spectrum, scale, max_groups, compute_dtype, exact, through)
        device = out._mean.device
        out._seen = bytearray(state["seen"].to("cpu", torch.uint8).numpy())
        out._weighted_off = state["weighted_off"].to(device, torch.float64, copy=True)
        keys = (int(key) for key in state["units"])
        out._units = dict(zip(keys, unstacked(state, device), strict=True))
        return out

    def leave_one_out(self) -> LeaveOneOut:
        """All figures on all prompts, and with each one left out; without variance, why not.

        Raises:
            ValueError: with fewer than two units, or if the rows added are not those behind the
                spectrum.
        """
        keys = sorted(self._units)
        if len(keys) < 2:
            raise ValueError(f"PromptSpectra: expected at least 2 prompts, found {len(keys)}")
        drop = Drop([self._units[k] for k in keys], self._weighted_off)
        drop.check_rows(self._n, self._variance)
        full: dict[str, float] = {}
        loo: dict[str, Tensor] = {}
        reason = drop.undefined()
        missing = {} if reason is None else dict.fromkeys(FIGURES, reason)
        if reason is None:
            full, loo = drop.naive()
            reason = drop.corrected(full, loo)
            missing = {} if reason is None else {"pr_corrected": reason}
        return LeaveOneOut(
            prompts=tuple(keys),
            counts=tuple(self._units[k].count for k in keys),
            full=full,
            loo={name: values.cpu().numpy() for name, values in loo.items()},
            missing=missing,
        )
