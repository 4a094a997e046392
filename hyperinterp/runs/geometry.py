"""The geometry of both models, some sites at a time: of each only figures are kept."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import product

import torch
from torch import Tensor

from hyperinterp.capture import (
    ContextRows,
    PromptAccumulator,
    SiteAccumulators,
    leave_one_out,
    spectra_everywhere,
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

    def take(self, mine: "Geometry", sites: Sequence[Site], processes: Processes) -> None:
        """Take in what each process has found at its share of some sites.

        Args:
            mine: this process's.
            sites: all of them, in order.
            processes: those that share the sites.
        """
        parts = processes.everywhere((mine.sites, mine.left_out, mine.half))
        for site in sites:
            for figures, left_out, half in parts:
                if site not in figures:
                    continue
                self.sites[site] = figures[site]
                for role, found in left_out.items():
                    self.left_out[role] |= {k: item for k, item in found.items() if k[0] == site}
                if site in half:
                    self.half[site] = half[site]


@dataclass(frozen=True)
class Variant:
    """One way of taking the rows of one site of one model; `moments` after `change`."""

    name: str
    moments: Moments
    change: Callable[[Moments], Moments] | None = None
    scale: Tensor | None = None


UNIT_NORM, VISIBLE = "@unit_norm", "@visible"
NAMES = ("", "@standardised", UNIT_NORM, VISIBLE)
"""The variants, in order."""


def measure(
    found: Geometry,
    models: Mapping[str, HookedModel],
    sums: Mapping[Site, SiteAccumulators],
    read: Callable[[str, Accumulators], None],
    *,
    sites: Sequence[Site],
    variants: tuple[str, ...],
    views: Mapping[str, Views],
    processes: Processes,
) -> None:
    """Add the figures of some sites.

    Args:
        found: takes the figures.
        models: by role, "base" and "fitted" among them.
        sums: what the first pass over the text left at this process's share of the sites.
        read: takes a role and the accumulators of one model by site, and gives them its rows.
        sites: all of them.
        variants: of the rows, beside the plain ones.
        views: what each model's logits see of the stream, for the variant "visible".
        processes: the processes that share the work.
    """
    plain: dict[str, dict[Site, Spectrum]] = {}
    figures: dict[tuple[Site, str], LeaveOneOut] = {}
    for role in ROLES:
        known = _of_both(figures, sums, views, processes) if figures else {}
        figures, spectra = _left_out(
            role, models[role], sums, sites, partial(read, role), variants, views.get(role),
            processes, known,
        )  # fmt: skip
        every = known | figures
        found.left_out[role] |= {key: every[key] for key in product(sites, NAMES) if key in every}
        plain[role] = plain.get("base", {}) | spectra
    mine = [
        site_figures(item, {role: plain[role][site] for role in ROLES})
        for site, item in sums.items()
    ]
    found.sites |= zip(sites, processes.gathered(mine), strict=True)


def _left_out(
    role: str,
    model: HookedModel,
    sums: Mapping[Site, SiteAccumulators],
    sites: Sequence[Site],
    read: Callable[[Accumulators], None],
    variants: tuple[str, ...],
    views: Views | None,
    processes: Processes,
    known: Collection[tuple[Site, str]],
) -> tuple[dict[tuple[Site, str], LeaveOneOut], dict[Site, Spectrum]]:
    """Figures of one model with each prompt left out, and own spectra of its plain rows.

    What is known of a site and variant is not measured again.
    """
    jobs = {
        f"{site.key}{variant.name}": variant
        for site, item in sums.items()
        for variant in (*variants_of(item, role, variants), *_visible(site, item, role, views))
        if (site, variant.name) not in known
    }
    own = dict(zip(jobs, spectra_of(
        [variant.moments for variant in jobs.values()],
        model.home,
        [variant.change for variant in jobs.values()],
    ), strict=True))  # fmt: skip
    spectra = spectra_everywhere(own, processes)
    scales = {key: item.scale.cpu() for key, item in jobs.items() if item.scale is not None}
    scales = processes.collected(scales)
    accumulators: dict[Site, list[PromptAccumulator]] = defaultdict(list)
    named: list[tuple[Site, str]] = []
    for site, name in product(sites, NAMES):
        spectrum = spectra.pop(f"{site.key}{name}", None)
        if spectrum is None:
            continue
        named.append((site, name))
        accumulators[site].append(PromptAccumulator(
            spectrum,
            scale=scales.get(f"{site.key}{name}"),
            unit_norm=name == UNIT_NORM,
            through=views[site.pre_norm] if views and name == VISIBLE else None,
            device=model.home,
        ))  # fmt: skip
    read(accumulators)
    every = leave_one_out([item for found in accumulators.values() for item in found], processes)
    plain = {site: own[site.key] for site in sums if site.key in own}
    return dict(zip(named, every, strict=True)), plain


def _of_both(
    figures: Mapping[tuple[Site, str], LeaveOneOut],
    sums: Mapping[Site, SiteAccumulators],
    views: Mapping[str, Views],
    processes: Processes,
) -> dict[tuple[Site, str], LeaveOneOut]:
    """The base's figures that are the fitted model's too.

    Below the first block that training has changed all rows are the same, to the bit.
    """
    mine = {site.key: item.drift.identical for site, item in sums.items()}
    identical = processes.collected(mine)
    found = {key: item for key, item in figures.items() if identical[key[0].key]}
    if not views:
        return found
    seen = {
        early: torch.equal(*(views[role][early].cpu() for role in ROLES)) for early in (True, False)
    }
    return {key: it for key, it in found.items() if key[1] != VISIBLE or seen[key[0].pre_norm]}


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
        yield Variant(UNIT_NORM, sums.moments[f"{role} unit"])


def _visible(
    site: Site, sums: SiteAccumulators, role: str, views: Views | None
) -> Iterator[Variant]:
    """Rows of the stream as the model's logits read them."""
    if views and site.kind not in (SiteKind.ATTN, SiteKind.MLP):
        through = views[site.pre_norm]
        change = partial(mapped, matrix=through)
        yield Variant(VISIBLE, sums.moments[role], change)
