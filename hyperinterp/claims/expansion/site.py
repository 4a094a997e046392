"""The dimension of one site in both models, and how far apart its rows are."""

from hyperinterp.analyses.growth import Profile
from hyperinterp.analyses.intervals import difference_of
from hyperinterp.claims.expansion.result import SiteGeometry
from hyperinterp.claims.spec import Measured, Pair, missing
from hyperinterp.runs.site_figures import SAME, SiteFigures
from hyperinterp.sites import Site
from probes import Spectrum

LEADING = 64


def site_geometry(site: Site, found: SiteFigures, profile: Profile) -> SiteGeometry:
    """Every figure of one site.

    Args:
        site: where.
        found: what was kept of it.
        profile: figures with each prompt left out, per variant.
    """
    base, fitted = (found.spectra[role] for role in ("base", "fitted"))
    metrics = {
        f"{name}{suffix}": difference_of(*sides, name)
        for suffix, sides in profile.items()
        for name in (*sides[0].full, *sides[0].missing)
    }
    for label, fraction in (("d90", 0.9), ("d95", 0.95), ("d99", 0.99)):
        metrics[f"{label}@integer"] = _integer_pair(base, fitted, fraction)
    for name, ratios in found.ratios.items():
        metrics[f"pr@{name}"] = _plain(*(_known(ratios[role]) for role in ("base", "fitted")))
    return SiteGeometry(
        key=site.key,
        label=site.label,
        kind=site.kind.value,
        layer=site.layer,
        pre_norm=site.pre_norm,
        n_rows=found.n_rows,
        metrics=metrics,
        spectrum={
            role: tuple((side.eigenvalues[:LEADING] / side.total).tolist()) if side.total else ()
            for role, side in (("base", base), ("fitted", fitted))
        },
        outliers=dict(found.outliers),
        rogue=dict(found.rogue),
        **vars(found.between),
    )


def _plain(base: Measured, fitted: Measured) -> Pair:
    for side in (base, fitted):
        if side.value is None:
            return Pair(base, fitted, side)
    assert base.value is not None
    assert fitted.value is not None
    return Pair(base, fitted, Measured(fitted.value - base.value))


def _known(value: float | None) -> Measured:
    return missing(SAME) if value is None else Measured(value)


def _integer_pair(base: Spectrum, fitted: Spectrum, fraction: float) -> Pair:
    """Whole number of leading axes; missing where nothing varies."""
    values = (
        float(side.pca_dimension(fraction)) if side.total else None for side in (base, fitted)
    )
    return _plain(*map(_known, values))
