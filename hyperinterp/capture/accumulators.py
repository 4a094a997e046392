"""Additive sums of one site: what is kept of activations, whatever their number."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor
from torch.linalg import vector_norm

from hyperinterp.capture.few import FewRows
from hyperinterp.distributed import Processes
from hyperinterp.errors import NumericalFault
from hyperinterp.models import HookedModel
from hyperinterp.sites import Site
from probes import CrossMoments, DriftAccumulator, Moments, norm_outliers

FEW = ("first", "outliers")
"""How the names end of rows of which there are few."""


def below(state: Mapping[str, Tensor], part: str) -> dict[str, Tensor]:
    """The tensors named `PART/...`, by what follows the slash."""
    head = f"{part}/"
    return {key[len(head) :]: t for key, t in state.items() if key.startswith(head)}


@dataclass
class SiteAccumulators:
    """Additive sums of one site, over positions 1 and later unless said otherwise.

    Attributes:
        moments: per name, moments of rows: "base" and "fitted" (the same positions) and, if asked
            for on the stream, "base unit" and "fitted unit" (rows scaled to length 1).
        few: on the stream, rows of which there are few: "base first" and "fitted first"
            (position 0), "base outliers" and "fitted outliers" (rows whose norm is an outlier in
            either model).
        cross: second moments across the two models.
        drift: distances and cosines of paired rows.
        outliers: rows counted as outliers, per model.
    """

    moments: dict[str, Moments]
    few: dict[str, FewRows]
    cross: CrossMoments
    drift: DriftAccumulator
    outliers: dict[str, int]

    @staticmethod
    def empty(d_model: int) -> "SiteAccumulators":
        """Sums of nothing."""
        cross = CrossMoments(d_model, d_model)
        return SiteAccumulators({}, {}, cross, DriftAccumulator(), {"base": 0, "fitted": 0})

    def add(self, name: str, rows: Float[Tensor, "n d"]) -> None:
        """Add a batch to the moments called `name`.

        No row meets one of another batch in float32: batches add up to the same sums, to float64
        rounding, however they are dealt out.
        """
        if name not in self.moments:
            self.moments[name] = Moments(rows.shape[-1], device=rows.device)
        self.moments[name].add(rows)
        self.moments[name].flush()

    def keep(self, name: str, rows: Float[Tensor, "n d"], like: str = "") -> None:
        """Add a batch to the few rows called `name`, about the reference of moments `like`."""
        if name not in self.few:
            self.few[name] = FewRows(rows.shape[-1])
            known = self.moments[like].reference if like else None
            if known is not None:
                self.few[name].refer(known)
        self.few[name].add(rows)

    def references(self) -> dict[str, Tensor]:
        """The references of all moments, on the CPU."""
        found = {name: moments.reference for name, moments in self.moments.items()}
        found |= {name: rows.moments().reference for name, rows in self.few.items()}
        return {name: shift.cpu() for name, shift in found.items() if shift is not None}

    def refer(self, references: Mapping[str, Tensor], device: torch.device) -> None:
        """Begin with these references, so that sums of several processes add up exactly."""
        for name, shift in references.items():
            if name.endswith(FEW):
                if name not in self.few:
                    self.few[name] = FewRows(len(shift))
                    self.few[name].refer(shift.to(device))
            elif name not in self.moments:
                self.moments[name] = Moments(len(shift), device=device).rebase(shift)

    def merge(self, other: "SiteAccumulators") -> None:
        """Add another process's sums."""
        for name, moments in other.moments.items():
            if name in self.moments:
                self.moments[name].merge(moments)
            else:
                self.moments[name] = moments
        for name, rows in other.few.items():
            if name in self.few:
                self.few[name].merge(rows)
            else:
                self.few[name] = rows
        self.cross.merge(other.cross)
        self.drift.merge(other.drift)
        for role, count in other.outliers.items():
            self.outliers[role] += count

    def state(self) -> dict[str, Tensor]:
        """Everything as plain tensors on the CPU, named `moments/NAME/...`, `cross/...`, ..."""
        parts = {f"moments/{name}": moments.state() for name, moments in self.moments.items()}
        parts |= {f"few/{name}": rows.state() for name, rows in self.few.items()}
        parts |= {"cross": self.cross.state(), "drift": self.drift.state()}
        parts["outliers"] = {role: torch.tensor(n) for role, n in self.outliers.items()}
        return {
            f"{part}/{key}": tensor.cpu()
            for part, state in parts.items()
            for key, tensor in state.items()
        }

    @staticmethod
    def from_state(
        state: Mapping[str, Tensor], device: torch.device | None = None
    ) -> "SiteAccumulators":
        """The sums that `state()` came from, for rows on `device`; by default where they lie."""
        state = {name: tensor.to(device) for name, tensor in state.items()}
        names, few = (
            dict.fromkeys(key.rpartition("/")[0] for key in below(state, part))
            for part in ("moments", "few")
        )
        cross = CrossMoments.from_state(below(state, "cross"))
        return SiteAccumulators(
            {name: Moments.from_state(below(state, f"moments/{name}")) for name in names},
            {name: FewRows.from_state(below(state, f"few/{name}"), cross.d1) for name in few},
            cross,
            DriftAccumulator.from_state(below(state, "drift")),
            {role: int(count) for role, count in below(state, "outliers").items()},
        )


def dealt(
    processes: Processes, accumulators: dict[Site, SiteAccumulators]
) -> dict[Site, SiteAccumulators]:
    """Return the sums over all processes at this one's share of the sites.

    They are added up in the order of the ranks by the one process that goes on with them.

    Args:
        processes: those that have read batches of their own.
        accumulators: this process's own sums at all sites; what is handed over is taken out.
    """
    if processes.size == 1:
        return accumulators
    sites = list(accumulators)
    states = [lambda site=site: accumulators[site].state() for site in sites]
    found = {}
    parts = processes.tensors_dealt(states, lambda number: accumulators.pop(sites[number]))
    for site, part in zip(processes.share(sites), parts, strict=True):
        first, *others = map(SiteAccumulators.from_state, part)
        for other in others:
            first.merge(other)
        found[site] = first
        accumulators.pop(site)
    return found


def check_finite(model: HookedModel, site: Site, tensor: Tensor) -> None:
    """Refuse activations that are not finite.

    Raises:
        NumericalFault: names model and site.
    """
    if not bool(torch.isfinite(tensor.sum())) and not bool(torch.isfinite(tensor).all()):
        raise NumericalFault(
            f"{model.name}: expected finite activations, found NaN or infinity at {site.label}"
        )


def flat(rows: Float[Tensor, "batch position d"]) -> Float[Tensor, "n d"]:
    """Rows of all batches and positions, one after the other."""
    return rearrange(rows, "batch position d -> (batch position) d")


def feed(
    accumulators: SiteAccumulators, rows: dict[str, Tensor], *, stream: bool, unit_norm: bool
) -> None:
    """Add one batch `[batch, position, d]` of "base" and "fitted" to those of a site."""
    if stream:
        for role, tensor in rows.items():
            accumulators.keep(f"{role} first", tensor[:, 0].clone())
    rows = {role: tensor[:, 1:] for role, tensor in rows.items()}
    joined = {role: flat(tensor) for role, tensor in rows.items()}
    if len(joined["base"]) == 0:
        return
    for role, tensor in joined.items():
        accumulators.add(role, tensor)
        if unit_norm and stream:
            accumulators.add(f"{role} unit", torch.nn.functional.normalize(tensor.float(), dim=-1))
    accumulators.cross.add(joined["base"], joined["fitted"])
    accumulators.drift.add(joined["base"], joined["fitted"])
    norms = {role: vector_norm(t, dim=-1, dtype=torch.float64) for role, t in rows.items()}
    outliers = {role: norm_outliers(norm) for role, norm in norms.items()}
    either = outliers["base"] | outliers["fitted"]
    for role, tensor in rows.items():
        accumulators.outliers[role] += int(outliers[role].sum())
        if stream and bool(either.any()):
            accumulators.keep(f"{role} outliers", tensor[either], like=role)
