"""Quantities of the eigenvalues of a covariance."""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
# (torch's own annotations leave these open.)

from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from probes._foreign import Array, real, widen

_ROUNDING = 1e-9
"""Negative eigenvalues down to this share of the largest are rounding, and count as zero."""


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Eigenvalues of a covariance, and what they say about its dimension.

    Attributes:
        eigenvalues: variances along the principal axes, descending, clipped at 0; shape [d],
            in the squared unit of the activations.
        n: number of rows behind the covariance, or None if unknown.
        mean: mean row [d], or None if unknown.
        vectors: unit eigenvectors in columns [d d], in the order of the eigenvalues, or None.
    """

    eigenvalues: Float64[Tensor, " d"]
    n: int | None = None
    mean: Float64[Tensor, " d"] | None = None
    vectors: Float64[Tensor, "d k"] | None = None

    @property
    def total(self) -> float:
        """Total variance: the sum of the eigenvalues, i.e. the trace of the covariance."""
        return float(self.eigenvalues.sum())

    @property
    def participation_ratio(self) -> float:
        """Participation ratio in [1, d]; see `probes.participation_ratio`."""
        return float(spectral_participation_ratio(_positive(self.eigenvalues)))

    @property
    def effective_rank(self) -> float:
        """Effective rank in [1, d]; see `probes.effective_rank`."""
        return float(spectral_effective_rank(_positive(self.eigenvalues)))

    def pca_dimension(self, fraction: float = 0.9, interpolate: bool = False) -> int | float:
        """Number of leading axes that hold `fraction` of the variance; see `pca_dimension`."""
        real_valued = spectral_pca_dimension(_positive(self.eigenvalues), fraction)
        return float(real_valued) if interpolate else int(real_valued.ceil())


def eigenvalues_of(x: Array, name: str) -> Float64[Tensor, " d"]:
    """The 1-D input of a public function as eigenvalues: float64, descending, none negative."""
    values = widen(real(x, name, ndim=1, axes="[d]"), name)
    values = values.sort(descending=True).values
    if float(values[-1]) < -_ROUNDING * float(values[0].abs()):
        raise ValueError(
            f"{name}: expected eigenvalues of 0 or more in a 1-D input, "
            f"found {float(values[-1]):.6g} (activations need at least 2 axes, [... d])"
        )
    return values.clamp_min(0)


def _positive(values: Tensor) -> Tensor:
    """The eigenvalues over the largest one, which makes every figure scale-free and safe."""
    largest = values[..., :1].abs()
    if bool((largest <= 0).any()):
        raise ValueError(
            "x: expected a covariance with some variance, found zero variance: "
            "its dimension is undefined"
        )
    return values / largest


def spectral_participation_ratio(
    values: Float64[Tensor, "*batch d"],
) -> Float64[Tensor, "*batch"]:
    """(sum l)^2 / sum l^2 along the last axis; unit-free, no checks."""
    return values.sum(-1).square() / values.square().sum(-1)


def spectral_effective_rank(values: Float64[Tensor, "*batch d"]) -> Float64[Tensor, "*batch"]:
    """Exponential of the entropy of l / sum l along the last axis; no checks."""
    return torch.special.entr(values / values.sum(-1, keepdim=True)).sum(-1).exp()


def spectral_pca_dimension(
    values: Float64[Tensor, "*batch d"], fraction: float
) -> Float64[Tensor, "*batch"]:
    """Real-valued count of leading eigenvalues that sum to `fraction` of their total.

    The running sum is joined by straight lines, so the ceiling of the result is the least whole
    number of eigenvalues that reaches the fraction. `values` descend along the last axis.
    """
    if not 0 < fraction <= 1:
        raise ValueError(f"fraction: expected a number in (0, 1], found {fraction}")
    running = values.cumsum(-1)
    # One part in 10^12 of slack: a tie at exactly the fraction must not cost one more dimension.
    target = running[..., -1:] * (fraction * (1 - 1e-12))
    index = (running < target).sum(-1, keepdim=True).clamp_max(values.shape[-1] - 1)
    here = values.gather(-1, index)
    before = running.gather(-1, index) - here
    step = ((target - before) / here).clamp(1e-12, 1.0)
    return (index + step).squeeze(-1)


def spectrum_of(
    covariance: Float[Tensor, "d d"],
    *,
    n: int | None = None,
    mean: Float64[Tensor, " d"] | None = None,
    vectors: bool = False,
) -> Spectrum:
    """The spectrum of a symmetric covariance: float64 eigen-decomposition on its device."""
    if vectors:
        values, basis = torch.linalg.eigh(covariance)
        return Spectrum(values.flip(0).clamp_min(0), n, mean, basis.flip(1).contiguous())
    return Spectrum(torch.linalg.eigvalsh(covariance).flip(0).clamp_min(0), n, mean)
