"""C5: does the feature space grow most in the last block?"""

from collections.abc import Sequence

from hyperinterp.analyses.growth import PRIMARY, Profile, growth_contrast
from hyperinterp.claims.expansion.result import ExpansionResult, SiteGeometry
from hyperinterp.claims.expansion.site import site_geometry
from hyperinterp.claims.spec import Measured, missing
from hyperinterp.runs import Geometry
from hyperinterp.sites import Site, SiteKind, block_outputs
from hyperinterp.under_comparison import Study
from probes.geometry.outliers import OUTLIER_FACTOR


def measure(study: Study) -> ExpansionResult:
    """Measure the dimension of both models at every site, with paired intervals."""
    geometry = study.shared.geometry
    profiles = _profiles(geometry)
    return summarised(
        tuple(site_geometry(site, it, profiles[site]) for site, it in geometry.sites.items()),
        profiles,
        study.base.n_layers,
        study.sizes.variants,
        study.base.d_model,
        study.run.seed,
    )


def summarised(
    sites: tuple[SiteGeometry, ...],
    profiles: dict[Site, Profile],
    n_layers: int,
    variants: Sequence[str],
    width: int,
    seed: int,
) -> ExpansionResult:
    """Hold the last block against the others.

    Args:
        sites: figures of every site.
        profiles: the same with each prompt left out.
        n_layers: number of blocks.
        variants: ways of taking the rows, beside the plain one.
        width: dimensions of a row.
        seed: of the resampling.
    """
    last = Site(SiteKind.RESID, n_layers - 1)
    others = [site for site in block_outputs(n_layers) if site != last and site in profiles]
    final = Site(SiteKind.FINAL_NORM)
    by_key = {site.key: site for site in sites}
    last_delta = by_key[last.key].metrics[PRIMARY].delta
    contrast = growth_contrast(profiles, "", PRIMARY, last, others, seed)
    growth = {site.key: by_key[site.key].metrics[PRIMARY].delta.value for site in [*others, last]}
    found = {key: value for key, value in growth.items() if value is not None}
    return ExpansionResult(
        sites=sites,
        primary=PRIMARY,
        last_block=last.key,
        largest_block=max(found, key=lambda key: found[key]) if found else last.key,
        last_delta=last_delta,
        contrast=contrast,
        contrast_variants=_variants(variants, seed, profiles, last, others),
        final_norm_gain=(
            growth_contrast(profiles, "", PRIMARY, final, [last], seed)
            if final in profiles
            else missing("the final norm's output was not collected")
        ),
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
        width=width,
    )


def quantities(result: ExpansionResult) -> dict[str, Measured]:
    """Return what the rule judges."""
    return {"contrast": result.contrast, "growth": result.last_delta}


def _profiles(geometry: Geometry) -> dict[Site, Profile]:
    """Leave-one-prompt-out figures of both models, by site and variant of the rows."""
    ours, theirs = (geometry.left_out[role] for role in ("base", "fitted"))
    profiles: dict[Site, Profile] = {site: {} for site in geometry.sites}
    for site, name in ours:
        profiles[site][name] = ours[site, name], theirs[site, name]
    return profiles


def _variants(
    variants: Sequence[str],
    seed: int,
    profiles: dict[Site, Profile],
    last: Site,
    others: Sequence[Site],
) -> dict[str, Measured]:
    """The same contrast on every other measure, to see whether the answer depends on it."""
    names = ("pr", "pr_corrected", "effective_rank", "d90", "d95", "d99")
    suffixes = ["", *(f"@{name}" for name in variants if f"@{name}" in profiles[last])]
    return {
        f"{name}{suffix}": growth_contrast(profiles, suffix, name, last, others, seed)
        for suffix in suffixes
        for name in names
        if (name, suffix) != (PRIMARY, "")
    }
