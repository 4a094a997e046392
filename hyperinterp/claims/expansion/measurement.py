"""C5: does the feature space grow most in the last block?"""

from collections.abc import Sequence

from hyperinterp.analyses.growth import PRIMARY, Profile, growth_contrast
from hyperinterp.capture import (
    PairRun,
)
from hyperinterp.claims.expansion.result import ExpansionResult, SiteGeometry
from hyperinterp.claims.expansion.site import site_geometry
from hyperinterp.claims.spec import Measured
from hyperinterp.sites import Site, SiteKind, block_outputs
from hyperinterp.study import Study
from probes.geometry.outliers import OUTLIER_FACTOR


def measure(study: Study) -> ExpansionResult:
    """Measure the dimension of both models at every site, with paired intervals."""
    run = study.shared.moments
    with study.run.log.timed("geometry"):
        profiles = _profiles(study, run)
        ours, theirs = (study.shared.spectra(role) for role in ("base", "fitted"))

        def measured_at(site: Site) -> SiteGeometry:
            sides = ours[site], theirs[site]
            return site_geometry(site, run.sites[site], sides, profiles[site])

        sites = tuple(study.run.processes.mapped(measured_at, run.sites))
    last = Site(SiteKind.RESID, study.base.n_layers - 1)
    others = [site for site in block_outputs(study.base.n_layers) if site != last]
    final = Site(SiteKind.FINAL_NORM)
    by_key = {site.key: site for site in sites}
    last_delta = by_key[last.key].metrics[PRIMARY].delta
    contrast = growth_contrast(profiles, "", PRIMARY, last, others, study.run.seed)
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
        final_norm_gain=growth_contrast(profiles, "", PRIMARY, final, [last], study.run.seed),
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


def _profiles(study: Study, run: PairRun) -> dict[Site, Profile]:
    """Leave-one-prompt-out figures of both models, by site and variant of the rows."""
    ours, theirs = (study.shared.left_out(role).figures for role in ("base", "fitted"))
    profiles: dict[Site, Profile] = {site: {} for site in run.sites}
    for site, name in ours:
        profiles[site][name] = ours[site, name], theirs[site, name]
    return profiles


def _variants(
    study: Study, profiles: dict[Site, Profile], last: Site, others: Sequence[Site]
) -> dict[str, Measured]:
    """The same contrast on every other measure, to see whether the answer depends on it."""
    names = ("pr", "pr_corrected", "effective_rank", "d90", "d95", "d99")
    suffixes = ["", *(f"@{name}" for name in study.sizes.variants if f"@{name}" in profiles[last])]
    return {
        f"{name}{suffix}": growth_contrast(profiles, suffix, name, last, others, study.run.seed)
        for suffix in suffixes
        for name in names
        if (name, suffix) != (PRIMARY, "")
    }
