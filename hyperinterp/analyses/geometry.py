"""C5: does the feature space grow most in the last block?"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from hyperinterp.analyses.followed import keepers
from hyperinterp.analyses.intervals import resampled
from hyperinterp.analyses.results import Claim, Measured, missing
from hyperinterp.analyses.site_geometry import Profile, SiteGeometry, site_geometry
from hyperinterp.block import Block
from hyperinterp.capture import (
    PairRun,
    PromptSink,
    SiteSums,
    leave_one_out,
    rows_of_prompts,
    spectra_of,
)
from hyperinterp.sites import Site, SiteKind, block_outputs
from hyperinterp.study import Study
from hyperinterp.verdicts import judge
from probes import (
    LeaveOneOut,
    Moments,
    Spectrum,
    bootstrap_contrast,
    pseudo_values,
)
from probes.geometry.outliers import OUTLIER_FACTOR


@dataclass(frozen=True)
class GeometryBlock(Block):
    """The dimension profile of both models.

    Attributes:
        sites: embedding, block outputs, final norm, and attention and MLP outputs if asked.
        primary: the measure that decides the claim.
        last_block: key of the last block's output.
        largest_block: key of the block output whose delta is largest.
        last_delta: delta of the last block's output on the primary measure.
        contrast: delta of the last block minus the largest delta of any other block.
        contrast_variants: the same contrast on the other measures, to see if it depends on it.
        final_norm_gain: delta at the final norm's output minus delta at the last block.
        positions: which positions were used.
        intervals: how the intervals were made.
        width: dimensions of a row, the most that any measure can reach; None when not recorded.
    """

    sites: tuple[SiteGeometry, ...]
    primary: str
    last_block: str
    largest_block: str
    last_delta: Measured
    contrast: Measured
    contrast_variants: dict[str, Measured] = field(default_factory=dict)
    final_norm_gain: Measured = field(default_factory=lambda: Measured(None, reason="not run"))
    positions: str = ""
    intervals: str = ""
    width: int | None = None

    def delta(self, measure: str | None = None) -> dict[str, float | None]:
        """Fitted minus base of one measure (default: the primary one), by site key."""
        name = measure or self.primary
        return {site.key: site.metrics[name].delta.value for site in self.sites}


PRIMARY = "pr_corrected"


def analyse(study: Study) -> tuple[GeometryBlock, Claim]:
    """Dimension profile, its paired intervals, and the verdict on terminal expansion."""
    run = study.geometry_run
    with study.ledger.timed("geometry"):
        profiles, spectra = _profiles(study, run)

        def measured_at(site: Site) -> SiteGeometry:
            sides = spectra[site, "base"], spectra[site, "fitted"]
            return site_geometry(site, run.sites[site], sides, profiles[site])

        sites = tuple(study.processes.mapped(measured_at, run.sites))
    last = Site(SiteKind.RESID, study.base.n_layers - 1)
    others = [site for site in block_outputs(study.base.n_layers) if site != last]
    final = Site(SiteKind.FINAL_NORM)
    by_key = {site.key: site for site in sites}
    last_delta = by_key[last.key].metrics[PRIMARY].delta
    contrast = growth_contrast(profiles, "", PRIMARY, last, others, study.seed)
    growth = {site.key: by_key[site.key].metrics[PRIMARY].delta.value for site in [*others, last]}
    found = {key: value for key, value in growth.items() if value is not None}
    block = GeometryBlock(
        sites=sites,
        primary=PRIMARY,
        last_block=last.key,
        largest_block=max(found, key=lambda key: found[key]) if found else last.key,
        last_delta=last_delta,
        contrast=contrast,
        contrast_variants=_variants(study, profiles, last, others),
        final_norm_gain=growth_contrast(profiles, "", PRIMARY, final, [last], study.seed),
        positions=(
            "positions 1 and later of every passage; position 0 (an attention sink in most "
            "models) is left out, and added back in the figures marked @with_first; norm "
            f"outliers (longer than {OUTLIER_FACTOR:g} times their passage's median) are kept, "
            "and left out in the figures marked @without_outliers"
        ),
        intervals=(
            "95 %, jackknife over prompts, the same prompt left out of both models; effective "
            "rank and PCA dimensions to first order in the eigenvalues; the contrast by "
            "resampling the jackknife's pseudo-values, the largest other block chosen anew in "
            "every resample; its upper end is the least of those of the last block against each "
            "other one, Bonferroni over them"
        ),
        width=study.base.d_model,
    )
    return block, judge("C5", {"contrast": contrast, "growth": last_delta})


Spectra = dict[tuple[Site, str], Spectrum]


@dataclass(frozen=True)
class _Variant:
    """One way of taking the rows of one site of one model."""

    name: str
    moments: Moments
    scale: Tensor | None = None
    unit_norm: bool = False


def _profiles(study: Study, run: PairRun) -> tuple[dict[Site, Profile], Spectra]:
    """Second run: leave-one-prompt-out figures of both models, and the spectra of their rows."""
    spectra: Spectra = {}
    sides = [_left_out(study, run, role, spectra) for role in ("base", "fitted")]
    profiles: dict[Site, Profile] = {site: {} for site in run.sites}
    for site, name in sides[0]:
        profiles[site][name] = sides[0][site, name], sides[1][site, name]
    return profiles, spectra


def _left_out(
    study: Study, run: PairRun, role: str, spectra: Spectra
) -> dict[tuple[Site, str], LeaveOneOut]:
    jobs = [
        (site, variant)
        for site, sums in run.sites.items()
        for variant in _variants_of(study, sums, role)
    ]
    device = study.model(role).device
    found = spectra_of([variant.moments for _, variant in jobs], study.processes, device)
    sinks: dict[Site, list[PromptSink]] = defaultdict(list)
    for (site, variant), spectrum in zip(jobs, found, strict=True):
        sink = PromptSink(
            spectrum,
            scale=variant.scale,
            unit_norm=variant.unit_norm,
            device=device,
        )
        sinks[site].append(sink)
        if not variant.name:
            spectra[site, role] = spectrum
    along = keepers(study) if study.lens and study.corpus is None else {}
    rows_of_prompts(
        study.model(role),
        run.rows,
        list(run.sites),
        sinks,
        batch_size=study.batch_size,
        tick=study.ledger.ticker(f"intervals of the {role} geometry", len(run.rows)),
        processes=study.processes,
        partial=study.kept_sums and (study.kept_sums, f"intervals-{role}"),
        keepers=along,
    )
    if along:
        study.kept_rows[role] = along
    text = "passages" if study.corpus is None else "corpus"
    study.ledger.forwards[f"{role} over the {text}"] += 1
    every = leave_one_out([sink for named in sinks.values() for sink in named], study.processes)
    return {(site, variant.name): item for (site, variant), item in zip(jobs, every, strict=True)}


def _variants_of(study: Study, sums: SiteSums, role: str) -> Iterator[_Variant]:
    moments = sums.moments[role]
    yield _Variant("", moments)
    if f"{role} first" not in sums.moments:
        return
    if "standardised" in study.sizes.variants:
        deviations = sums.moments["base"].covariance().diagonal().clamp_min(0).sqrt()
        largest = float(deviations.max())
        scale = 1 / deviations.clamp_min(largest * 1e-6 if largest > 0 else 1.0)
        yield _Variant("@standardised", moments.scaled(scale), scale=scale)
    if f"{role} unit" in sums.moments:
        yield _Variant("@unit_norm", sums.moments[f"{role} unit"], unit_norm=True)


def growth_contrast(
    profiles: dict[Site, Profile],
    variant: str,
    name: str,
    target: Site,
    others: Sequence[Site],
    seed: int,
) -> Measured:
    """Delta at `target` minus the largest delta of `others`, with its interval.

    Args:
        profiles: per site and variant, leave-one-out figures of both models.
        variant: which rows, "" for the plain ones.
        name: the measure.
        target: the site in question.
        others: the sites to compare with.
        seed: of the bootstrap.
    """
    columns = []
    for site in [target, *others]:
        base, fitted = profiles[site][variant]
        if name in base.missing or name in fitted.missing:
            reason = base.missing.get(name) or fitted.missing[name]
            return missing(f"{site.label}: {reason}")
        ours = pseudo_values(base.full[name], base.loo[name])
        columns.append(pseudo_values(fitted.full[name], fitted.loo[name]) - ours)
    if not others:
        return missing("the model has one block only")
    values, rest = np.stack(columns, axis=1), list(range(1, len(columns)))
    return resampled(bootstrap_contrast, values, target=0, others=rest, seed=seed)


def _variants(
    study: Study, profiles: dict[Site, Profile], last: Site, others: Sequence[Site]
) -> dict[str, Measured]:
    """The same contrast on every other measure, to see whether the answer depends on it."""
    names = ("pr", "pr_corrected", "effective_rank", "d90", "d95", "d99")
    suffixes = ["", *(f"@{variant}" for variant in study.sizes.variants)]
    return {
        f"{name}{suffix}": growth_contrast(profiles, suffix, name, last, others, study.seed)
        for suffix in suffixes
        for name in names
        if (name, suffix) != (PRIMARY, "")
    }
