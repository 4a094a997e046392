"""Figures of the geometry with each prompt left out: one model over the text once more."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor

from hyperinterp.capture import (
    ContextRows,
    PairRun,
    PromptAccumulator,
    ResumeDirectory,
    SiteAccumulators,
    leave_one_out,
    rows_of_prompts,
    spectra_of,
)
from hyperinterp.models import HookedModel
from hyperinterp.runs.context import RunContext
from hyperinterp.runs.visibility import Views
from hyperinterp.sites import Site, SiteKind
from probes import LeaveOneOut, Moments, Spectrum
from probes.geometry.mapping import mapped


@dataclass(frozen=True)
class LeftOut:
    """Figures of one model at every site, all prompts and each one left out.

    Attributes:
        figures: by site and variant of the rows, "" for the plain ones.
        streams: rows of the followed decisions by site, where they were kept on the way.
    """

    figures: dict[tuple[Site, str], LeaveOneOut]
    streams: Mapping[Site, ContextRows]


@dataclass(frozen=True)
class Variant:
    """One way of taking the rows of one site of one model.

    Attributes:
        name: with an @ before it; "" for the plain rows.
        moments: of the rows.
        scale: multiplies the rows.
        unit_norm: rows are scaled to length 1.
        through: maps the rows.
    """

    name: str
    moments: Moments
    scale: Tensor | None = None
    unit_norm: bool = False
    through: Tensor | None = None


def left_out(
    model: HookedModel,
    role: str,
    moments: PairRun,
    variants: tuple[str, ...],
    run: RunContext,
    kept: ResumeDirectory | None,
    keepers: Mapping[Site, ContextRows],
    views: Views | None = None,
) -> tuple[LeftOut, dict[Site, Spectrum]]:
    """Read the text of a run again, with one model.

    Args:
        model: the model.
        role: "base" or "fitted".
        moments: the first run over the text.
        variants: of the rows, beside the plain ones.
        run: batches, processes and log.
        kept: keeps the sums on disk on the way.
        keepers: what keeps rows of followed decisions on the way.
        views: what the model's logits see of the stream, for the variant "visible".

    Returns:
        The figures, and the spectra of the plain rows.
    """
    jobs = [
        (site, variant)
        for site, accumulators in moments.sites.items()
        for variant in (
            *variants_of(accumulators, role, variants),
            *_visible(site, accumulators, role, views),
        )
    ]
    found = spectra_of([variant.moments for _, variant in jobs], run.processes, model.device)
    accumulators: dict[Site, list[PromptAccumulator]] = defaultdict(list)
    for (site, variant), spectrum in zip(jobs, found, strict=True):
        accumulator = PromptAccumulator(
            spectrum,
            scale=variant.scale,
            unit_norm=variant.unit_norm,
            through=variant.through,
            device=model.device,
        )
        accumulators[site].append(accumulator)
    rows_of_prompts(
        model,
        moments.rows,
        list(moments.sites),
        accumulators,
        batch_size=run.batch_size,
        tick=run.log.ticker(f"intervals of the {role} geometry", len(moments.rows)),
        processes=run.processes,
        resume=kept and (kept, f"intervals-{role}"),
        keepers=keepers,
    )
    every = leave_one_out(
        [accumulator for named in accumulators.values() for accumulator in named], run.processes
    )
    figures = {
        (site, variant.name): item for (site, variant), item in zip(jobs, every, strict=True)
    }
    spectra = {
        site: spectrum
        for (site, variant), spectrum in zip(jobs, found, strict=True)
        if not variant.name
    }
    return LeftOut(figures, keepers), spectra


def variants_of(
    accumulators: SiteAccumulators, role: str, variants: tuple[str, ...]
) -> Iterator[Variant]:
    """Yield the ways of taking the rows of a site, the plain one first.

    Args:
        accumulators: of both models at the site.
        role: "base" or "fitted".
        variants: "standardised" among them for that one; "unit_norm" comes with its sums.
    """
    moments = accumulators.moments[role]
    yield Variant("", moments)
    if f"{role} first" not in accumulators.few:
        return
    if "standardised" in variants:
        deviations = accumulators.moments["base"].covariance().diagonal().clamp_min(0).sqrt()
        largest = float(deviations.max())
        scale = 1 / deviations.clamp_min(largest * 1e-6 if largest > 0 else 1.0)
        yield Variant("@standardised", moments.scaled(scale), scale=scale)
    if f"{role} unit" in accumulators.moments:
        yield Variant("@unit_norm", accumulators.moments[f"{role} unit"], unit_norm=True)


def _visible(
    site: Site, accumulators: SiteAccumulators, role: str, views: Views | None
) -> Iterator[Variant]:
    """Rows of the stream as the model's logits read them."""
    if views and site.kind not in (SiteKind.ATTN, SiteKind.MLP):
        through = views[site.pre_norm]
        yield Variant("@visible", mapped(accumulators.moments[role], through), through=through)
