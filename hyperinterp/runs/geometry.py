"""The geometry of both models, some sites at a time: of each only figures are kept."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from torch import Tensor

from hyperinterp.capture import (
    ContextRows,
    PromptAccumulator,
    SiteAccumulators,
    leave_one_out,
    spectra_of,
)
from hyperinterp.distributed import Processes
from hyperinterp.models import HookedModel
from hyperinterp.runs.site_figures import SiteFigures, site_figures
from hyperinterp.runs.visibility import Views
from hyperinterp.sites import Site, SiteKind
from probes import LeaveOneOut, Moments, Spectrum
from probes.geometry.mapping import mapped

Accumulators = Mapping[Site, Sequence[PromptAccumulator]]
ROLES = ("base", "fitted")


@dataclass
class Geometry:
    """Figures of both models at every site.

    Attributes:
        sites: of all rows.
        left_out: by role, then by site and variant of the rows ("" for the plain ones): with all
            prompts and with each one left out.
        half: by site and role, moments of the rows that were read first, where they are wanted.
        streams: by role, rows of followed decisions by site, where they were kept on the way.
    """

    sites: dict[Site, SiteFigures] = field(default_factory=dict)
    left_out: dict[str, dict[tuple[Site, str], LeaveOneOut]] = field(
        default_factory=lambda: {role: {} for role in ROLES}
    )
    half: dict[Site, dict[str, Moments]] = field(default_factory=dict)
    streams: dict[str, dict[Site, ContextRows]] = field(
        default_factory=lambda: {role: {} for role in ROLES}
    )


@dataclass(frozen=True)
class Variant:
    """One way of taking the rows of one site of one model; `moments` after `change`."""

    name: str
    moments: Moments
    change: Callable[[Moments], Moments] | None = None
    scale: Tensor | None = None
    unit_norm: bool = False
    through: Tensor | None = None


def measure(
    found: Geometry,
    models: Mapping[str, HookedModel],
    sums: Mapping[Site, SiteAccumulators],
    read: Callable[[str, Accumulators], None],
    *,
    variants: tuple[str, ...],
    views: Mapping[str, Views],
    processes: Processes,
) -> None:
    """Add the figures of some sites.

    Args:
        found: takes the figures.
        models: by role, "base" and "fitted" among them.
        sums: what the first pass over the text left at these sites.
        read: takes a role and the accumulators of one model by site, and gives them its rows.
        variants: of the rows, beside the plain ones.
        views: what each model's logits see of the stream, for the variant "visible".
        processes: the processes that share the work.
    """
    plain: dict[str, dict[Site, Spectrum]] = {}
    for role in ROLES:
        figures, plain[role] = _left_out(
            role, models[role], sums, partial(read, role), variants, views.get(role), processes
        )
        found.left_out[role] |= figures

    def kept(site: Site) -> SiteFigures:
        return site_figures(sums[site], {role: plain[role][site] for role in ROLES})

    found.sites |= zip(sums, processes.mapped(kept, sums), strict=True)


def _left_out(
    role: str,
    model: HookedModel,
    sums: Mapping[Site, SiteAccumulators],
    read: Callable[[Accumulators], None],
    variants: tuple[str, ...],
    views: Views | None,
    processes: Processes,
) -> tuple[dict[tuple[Site, str], LeaveOneOut], dict[Site, Spectrum]]:
    """Figures of one model with each prompt left out, and the spectra of its plain rows."""
    jobs = [
        (site, variant)
        for site, item in sums.items()
        for variant in (*variants_of(item, role, variants), *_visible(site, item, role, views))
    ]
    spectra = spectra_of(
        [variant.moments for _, variant in jobs],
        processes,
        model.home,
        [variant.change for _, variant in jobs],
    )
    accumulators: dict[Site, list[PromptAccumulator]] = defaultdict(list)
    for (site, variant), spectrum in zip(jobs, spectra, strict=True):
        accumulator = PromptAccumulator(
            spectrum,
            scale=variant.scale,
            unit_norm=variant.unit_norm,
            through=variant.through,
            device=model.home,
        )
        accumulators[site].append(accumulator)
    plain = {
        site: spectrum
        for (site, variant), spectrum in zip(jobs, spectra, strict=True)
        if not variant.name
    }
    read(accumulators)
    every = leave_one_out(
        [accumulator for named in accumulators.values() for accumulator in named], processes
    )
    figures = {
        (site, variant.name): item for (site, variant), item in zip(jobs, every, strict=True)
    }
    return figures, plain


def variants_of(sums: SiteAccumulators, role: str, variants: tuple[str, ...]) -> Iterator[Variant]:
    """Yield the ways of taking the rows of a site, the plain one first.

    Args:
        sums: of both models at the site.
        role: "base" or "fitted".
        variants: "standardised" among them for that one; "unit_norm" comes with its sums.
    """
    moments = sums.moments[role]
    yield Variant("", moments)
    if f"{role} first" not in sums.few:
        return
    if "standardised" in variants:
        deviations = sums.moments["base"].covariance().diagonal().clamp_min(0).sqrt()
        largest = float(deviations.max())
        scale = 1 / deviations.clamp_min(largest * 1e-6 if largest > 0 else 1.0)
        yield Variant("@standardised", moments, lambda item: item.scaled(scale), scale=scale)
    if f"{role} unit" in sums.moments:
        yield Variant("@unit_norm", sums.moments[f"{role} unit"], unit_norm=True)


def _visible(
    site: Site, sums: SiteAccumulators, role: str, views: Views | None
) -> Iterator[Variant]:
    """Rows of the stream as the model's logits read them."""
    if views and site.kind not in (SiteKind.ATTN, SiteKind.MLP):
        through = views[site.pre_norm]
        change = partial(mapped, matrix=through)
        yield Variant("@visible", sums.moments[role], change, through=through)
