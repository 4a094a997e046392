"""C5: does the feature space grow most in the last block?"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor

from hyperinterp.analyses.followed import keepers
from hyperinterp.analyses.growth import PRIMARY, Profile, growth_contrast
from hyperinterp.capture import (
    PairRun,
    PromptSink,
    SiteSums,
    leave_one_out,
    rows_of_prompts,
    spectra_of,
)
from hyperinterp.claims.expansion.result import ExpansionResult, SiteGeometry
from hyperinterp.claims.expansion.site import site_geometry
from hyperinterp.claims.spec import Measured
from hyperinterp.sites import Site, SiteKind, block_outputs
from hyperinterp.study import Study
from probes import (
    LeaveOneOut,
    Moments,
    Spectrum,
)
from probes.geometry.outliers import OUTLIER_FACTOR


def measure(study: Study) -> ExpansionResult:
    """Measure the dimension of both models at every site, with paired intervals."""
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
    return ExpansionResult(
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


def quantities(result: ExpansionResult) -> dict[str, Measured]:
    """Return what the rule judges."""
    return {"contrast": result.contrast, "growth": result.last_delta}


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
