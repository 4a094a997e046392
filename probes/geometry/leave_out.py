"""Taking one prompt at a time out of sums over prompts; the algebra behind `PromptSpectra`."""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
# (torch's own annotations leave these open.)

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from .corrected import MIN_UNITS
from .spectrum import (
    spectral_effective_rank,
    spectral_participation_ratio,
    spectral_pca_dimension,
)
from .ustatistic import PromptSums, corrected_parts, drawn_apart

FIGURES: tuple[str, ...] = ("pr", "pr_corrected", "effective_rank", "d90", "d95", "d99")
"""What `LeaveOneOut` has, or says why it has not."""


@dataclass(frozen=True, eq=False)
class LeaveOneOut:
    """Each figure of a spectrum on all prompts, and with each prompt left out.

    Figures: `pr` (naive participation ratio), `pr_corrected`, `effective_rank`, and `d90`, `d95`,
    `d99` (interpolated PCA dimensions). Feed `full[name], loo[name]` to `probes.jackknife`.

    Intervals of `pr_corrected` cover the population's value: 95 to 99 % of the time at a nominal
    95 % in our simulations (a jackknife counts second-order variance twice), 88 to 95 % where a
    single rogue dimension decides the ratio. The other figures are naive: their intervals are
    about what so many prompts give on average, which few prompts bias down.

    Attributes:
        prompts: what each entry of a loo array leaves out: a prompt's id, or a group's number
            where prompts were pooled. Two results can be paired if these are equal.
        counts: prompts behind each unit (all 1 unless pooled).
        full: figure -> value on all prompts.
        loo: figure -> values [G], in the order of `prompts`.
        missing: figure -> why it is not there: all of them where the rows, or those of all prompts
            but one, have no variance.
    """

    prompts: tuple[int, ...]
    counts: tuple[int, ...]
    full: Mapping[str, float]
    loo: Mapping[str, Float64[np.ndarray, " g"]]
    missing: Mapping[str, str]


@dataclass(frozen=True, eq=False)
class Unit:
    """The sums of a prompt g, or of a pooled group, in the basis V of the eigenvectors."""

    count: int
    n: int
    sums: Float64[Tensor, " d"]
    """s_g: sum of the rows about the mean of all rows."""
    axes: Float64[Tensor, " d"]
    """Diagonal of the second moment M_g about that mean."""
    shift: Float64[Tensor, " d"]
    """How the eigenvalues of the sum of all M_g change when the prompt leaves."""
    off: float
    """|M_g|^2 less the squares on its diagonal."""
    own_mean_off: float
    """s_g^T M_g s_g less the part of M_g's diagonal."""

    def pooled(self, other: "Unit") -> "Unit":
        """Both as one unit; what lies off the diagonals of two prompts is taken as unrelated."""
        device = self.sums.device
        return Unit(
            count=self.count + other.count,
            n=self.n + other.n,
            sums=self.sums + other.sums.to(device),
            axes=self.axes + other.axes.to(device),
            shift=self.shift + other.shift.to(device),
            off=self.off + other.off,
            own_mean_off=self.own_mean_off + other.own_mean_off,
        )


def stacked(units: Sequence[Unit], width: int) -> dict[str, Tensor]:
    """Return every field of the units as one tensor, the vectors as `[G width]`."""

    def rows(values: list[Tensor]) -> Tensor:
        return torch.stack(values) if values else torch.zeros(0, width, dtype=torch.float64)

    return {
        "counts": torch.tensor([u.count for u in units], dtype=torch.int64),
        "n": torch.tensor([u.n for u in units], dtype=torch.int64),
        "sums": rows([u.sums for u in units]),
        "axes": rows([u.axes for u in units]),
        "shift": rows([u.shift for u in units]),
        "off": torch.tensor([u.off for u in units], dtype=torch.float64),
        "own_mean_off": torch.tensor([u.own_mean_off for u in units], dtype=torch.float64),
    }


def unstacked(state: Mapping[str, Tensor], device: torch.device) -> list[Unit]:
    """Return the units that `stacked` was given, their vectors copied to a device."""
    sums, axes, shift = (
        state[name].to(device, torch.float64, copy=True) for name in ("sums", "axes", "shift")
    )
    return [
        Unit(
            count=int(state["counts"][i]),
            n=int(state["n"][i]),
            sums=sums[i],
            axes=axes[i],
            shift=shift[i],
            off=float(state["off"][i]),
            own_mean_off=float(state["own_mean_off"][i]),
        )
        for i in range(len(sums))
    ]


class Drop:
    """The sums of all units, and of all units but one."""

    def __init__(self, units: list[Unit], weighted_off: Float64[Tensor, " d"]) -> None:
        def numbers(values: Sequence[float | int]) -> Tensor:
            return torch.tensor(values, dtype=torch.float64, device=weighted_off.device)

        self.n = numbers([u.n for u in units])
        self.sums = torch.stack([u.sums for u in units]).to(weighted_off.device)
        self.axes = torch.stack([u.axes for u in units]).to(weighted_off.device)
        self.shift = torch.stack([u.shift for u in units]).to(weighted_off.device)
        self.own_mean_off = numbers([u.own_mean_off for u in units])
        self.weighted_off = weighted_off
        # In V's basis the off-diagonal parts of all prompts sum to zero. So two prompts have an
        # expected product of -off / (P - 1), not 0, which counts where a unit holds several.
        counts = numbers([u.count for u in units])
        share = 1 - (counts - 1) / (counts.sum() - 1).clamp_min(1)
        self.own = numbers([u.off for u in units]) * share + self.axes.square().sum(1)
        self.total = self.axes.sum(0)  # n times the eigenvalues
        self.rest = self.n.sum() - self.n
        self.own_mean = self.own_mean_off + (self.axes * self.sums.square()).sum(1)
        self.frobenius = (
            self.total.square().sum() - 2 * self.axes @ self.total + self.own
        )  # |M - M_g|^2
        self.bend = self.sums.square() @ self.total - self.own_mean  # s_g^T (M - M_g) s_g

    def _traces(self) -> Tensor:
        """N times the total variance of the rows that every unit leaves."""
        return self.total.sum() - self.axes.sum(1) - self.sums.square().sum(1) / self.rest

    def check_rows(self, n: int, variance: float) -> None:
        """Refuse units that are not of the rows behind a spectrum.

        Args:
            n: rows behind the spectrum.
            variance: its total.

        Raises:
            ValueError: they are of others.
        """
        mine = int(self.n.sum())
        if mine != n:
            raise ValueError(
                f"PromptSpectra: expected the {n} rows behind the spectrum, found {mine}"
            )
        apart = float(self.sums.sum(0).square().sum().sqrt()) / n
        found = float(self.total.sum()) / n
        if abs(found - variance) > 1e-2 * variance or apart > 1e-2 * math.sqrt(found):
            raise ValueError(
                "PromptSpectra: expected the rows behind the spectrum (times scale), found other "
                f"rows: variance {found:.6g}, not {variance:.6g}; mean off by {apart:.6g}"
            )

    def undefined(self) -> str | None:
        """Return the reason why no value can be had; None where one can."""
        everything = float(self.total.sum())
        if everything <= 0:
            return "all rows are the same, so nothing varies here"
        if bool((self._traces() <= 1e-12 * everything).any()):
            return "one prompt holds all the variance, so it cannot be left out"
        return None

    def naive(self) -> tuple[dict[str, float], dict[str, Tensor]]:
        """Figures that a spectrum gives: pr by algebra, the rest from the shifted eigenvalues."""
        size = self.sums.square().sum(1)
        trace = self._traces()
        square = self.frobenius - 2 * self.bend / self.rest + (size / self.rest).square()
        left = (self.total + self.shift).clamp_min(0).sort(dim=1, descending=True).values
        whole = self.total.sort(descending=True).values
        loo = {"pr": trace.square() / square, "effective_rank": spectral_effective_rank(left)}
        full = {
            "pr": float(spectral_participation_ratio(whole)),
            "effective_rank": float(spectral_effective_rank(whole)),
        }
        for name, fraction in (("d90", 0.9), ("d95", 0.95), ("d99", 0.99)):
            full[name] = float(spectral_pca_dimension(whole, fraction))
            loo[name] = spectral_pca_dimension(left, fraction)
        return full, loo

    def corrected(self, full: dict[str, float], loo: dict[str, Tensor]) -> str | None:
        """Add `pr_corrected` to both, or say why it cannot be had."""
        units = len(self.n)
        if units <= MIN_UNITS:
            return f"needs at least {MIN_UNITS + 1} prompts, found {units}"
        top, bottom = corrected_parts(self._all())
        tops, bottoms = corrected_parts(self._left())
        if not (drawn_apart(top, bottom) and drawn_apart(tops, bottoms)):
            return f"{units} prompts are too few: their noise outweighs the variance"
        full["pr_corrected"] = float(top / bottom)
        loo["pr_corrected"] = tops / bottoms
        return None

    def _all(self) -> PromptSums:
        spread = (self.sums.square() @ self.total).sum()  # sum of s_g^T M s_g; s itself is 0
        return PromptSums(
            n=self.n,
            traces=self.axes.sum(1),
            gram=self.sums @ self.sums.T,
            frobenius=self.total.square().sum(),
            own=self.own.sum(),
            mean_term=2 * self.own_mean.sum() - spread,
        )

    def _left(self) -> PromptSums:
        gram = self.sums @ self.sums.T
        spread = self.sums.square() @ self.total  # s_g^T M s_g
        remaining = spread.sum() - spread - self._others(gram)
        weighted = self.weighted_off + (self.axes * self.sums).sum(0)  # sum of M_h s_h
        pulled = 2 * (self.own_mean - self.sums @ weighted)  # 2 s . (sum of M_h s_h), s = -s_g
        own_left = self.own_mean.sum() - self.own_mean
        return PromptSums(
            n=self.n,
            traces=self.axes.sum(1),
            gram=gram,
            frobenius=self.frobenius,
            own=self.own.sum() - self.own,
            mean_term=self.bend - pulled - remaining + 2 * own_left,
        )

    def _others(self, gram: Float64[Tensor, "g g"]) -> Float64[Tensor, " g"]:
        """Sum over h != g of s_h^T M_g s_h, the one term that the sums do not hold.

        What is on the diagonal of M_g, what s_g s_g^T / n_g has off it, and a fair share of the
        rest, which is known in total because all M_g sum to a diagonal.
        """
        squares = self.sums.square()
        between = (gram.square() - squares @ squares.T) / self.n[:, None]
        own = between.diagonal()
        known = (self.axes * (squares.sum(0) - squares)).sum(1) + between.sum(1) - own
        rest = -between.sum() - (self.own_mean_off - own).sum()
        return known + rest * self.n / self.n.sum()
