"""The dimension of one site in both models, and how far apart its rows are."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from hyperinterp.analyses.growth import Profile
from hyperinterp.analyses.intervals import difference_of
from hyperinterp.capture import SiteAccumulators
from hyperinterp.claims.expansion.result import SiteGeometry
from hyperinterp.claims.spec import Measured, Pair, missing
from hyperinterp.sites import Site
from probes import (
    Moments,
    Spectrum,
    participation_ratio,
    principal_angles,
    rogue_dimensions,
    subspace_overlap,
    variance_outside,
)

LEADING = 64
ANGLES = 32
SAME = "all rows are the same, so nothing varies here"


def site_geometry(
    site: Site, accumulators: SiteAccumulators, spectra: tuple[Spectrum, Spectrum], profile: Profile
) -> SiteGeometry:
    """Every figure of one site.

    Args:
        site: where.
        accumulators: what the first run left there.
        spectra: of the rows of base and fitted model, with vectors.
        profile: figures with each prompt left out, per variant.
    """
    ours, theirs = accumulators.moments["base"], accumulators.moments["fitted"]
    base, fitted = spectra
    metrics = {
        f"{name}{suffix}": difference_of(*sides, name)
        for suffix, sides in profile.items()
        for name in (*sides[0].full, *sides[0].missing)
    }
    for label, fraction in (("d90", 0.9), ("d95", 0.95), ("d99", 0.99)):
        metrics[f"{label}@integer"] = _integer_pair(base, fitted, fraction)
    metrics |= _alternatives(accumulators)
    return SiteGeometry(
        key=site.key,
        label=site.label,
        kind=site.kind.value,
        layer=site.layer,
        pre_norm=site.pre_norm,
        n_rows=ours.n,
        metrics=metrics,
        spectrum={
            role: tuple((found.eigenvalues[:LEADING] / found.total).tolist()) if found.total else ()
            for role, found in (("base", base), ("fitted", fitted))
        },
        outliers=dict(accumulators.outliers),
        rogue={
            "base": tuple(rogue_dimensions(ours)),
            "fitted": tuple(rogue_dimensions(theirs)),
        },
        **vars(_compared(accumulators, base, fitted)),
    )


@dataclass(frozen=True)
class _Compared:
    """The figures of `SiteGeometry` that compare the two models' rows."""

    drift: float | None
    cosine: float | None
    cka: float | None = None
    overlap: float | None = None
    angles: tuple[float, ...] = ()
    outside: dict[str, float | None] = field(default_factory=lambda: {"base": None, "fitted": None})
    missing: dict[str, str] = field(default_factory=dict)
    distance: float | None = None


def _compared(accumulators: SiteAccumulators, base: Spectrum, fitted: Spectrum) -> _Compared:
    """Compare the rows of both models, as far as they vary at all."""
    drift = accumulators.drift.result() if accumulators.drift.n else None
    gone: dict[str, str] = {}
    if drift is None:
        gone = dict.fromkeys(
            ("drift", "cosine", "distance"), "every row of one of the models is zero here"
        )
    found = _Compared(
        drift and drift.relative,
        drift and drift.cosine,
        missing=gone,
        distance=drift and drift.distance,
    )
    if not (base.total and fitted.total):
        reason = f"{SAME} in one of the models"
        names = ("cka", "overlap", "angles", "outside")
        return replace(found, missing=gone | dict.fromkeys(names, reason))
    assert base.vectors is not None
    assert fitted.vectors is not None
    ours, theirs = (accumulators.moments[role].covariance() for role in ("base", "fitted"))
    width = int(base.pca_dimension(0.9))
    leading = base.vectors[:, :width], fitted.vectors[:, :width]
    angles = principal_angles(*(vectors[:, :ANGLES] for vectors in leading))
    return replace(
        found,
        cka=float(accumulators.cross.linear_cka(ours, theirs)),
        overlap=float(subspace_overlap(*leading)),
        angles=tuple(angles.rad2deg().tolist()),
        outside={
            "base": float(variance_outside(ours, leading[0])),
            "fitted": float(variance_outside(theirs, leading[0])),
        },
    )


def _plain(base: Measured, fitted: Measured) -> Pair:
    for side in (base, fitted):
        if side.value is None:
            return Pair(base, fitted, side)
    assert base.value is not None
    assert fitted.value is not None
    return Pair(base, fitted, Measured(fitted.value - base.value))


def _read(spectrum: Spectrum, figure: Callable[[Spectrum], float]) -> Measured:
    """One figure of a spectrum; missing where nothing varies."""
    if not spectrum.total:
        return missing(SAME)
    return Measured(float(figure(spectrum)))


def _integer_pair(base: Spectrum, fitted: Spectrum, fraction: float) -> Pair:
    return _plain(*(_read(side, lambda s: s.pca_dimension(fraction)) for side in (base, fitted)))


def _alternatives(accumulators: SiteAccumulators) -> dict[str, Pair]:
    """Naive participation ratio with position 0 added, and with norm outliers left out."""
    if "base first" not in accumulators.few:
        return {}
    added, inside = [], []
    for role in ("base", "fitted"):
        moments = accumulators.moments[role]
        copy = Moments.from_state(moments.state())
        added.append(_ratio(copy.merge(accumulators.few[f"{role} first"].moments())))
        outside = accumulators.few.get(f"{role} outliers")
        kept = moments if outside is None else moments - outside.moments()
        inside.append(_ratio(kept))
    return {"pr@with_first": _plain(*added), "pr@without_outliers": _plain(*inside)}


def _ratio(moments: Moments) -> Measured:
    """Naive participation ratio, from traces; missing where nothing varies."""
    if not float(moments.covariance().trace()):
        return missing(SAME)
    return Measured(participation_ratio(moments))
