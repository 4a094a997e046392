"""The dimension of one site in both models, and how far apart its rows are."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from hyperinterp.analyses.intervals import difference_of
from hyperinterp.analyses.results import Measured, Pair, missing
from hyperinterp.block import Brief
from hyperinterp.capture import SiteSums
from hyperinterp.sites import Site
from probes import (
    LeaveOneOut,
    Moments,
    Spectrum,
    participation_ratio,
    principal_angles,
    rogue_dimensions,
    subspace_overlap,
    variance_outside,
)

Profile = dict[str, tuple[LeaveOneOut, LeaveOneOut]]
"""Per variant of the rows, base and fitted figures with each prompt left out."""

LEADING = 64
ANGLES = 32
SAME = "all rows are the same, so nothing varies here"


@dataclass(frozen=True)
class SiteGeometry(Brief):
    """Figures of one site.

    Attributes:
        key: stable identifier, e.g. "resid.29".
        label: words, e.g. "block 29".
        kind: "embed", "resid", "attn", "mlp" or "final_norm".
        layer: block index; None for embed and final_norm.
        pre_norm: False only for the final norm's output.
        n_rows: token positions behind the figures.
        metrics: per measure, base, fitted and paired delta. Measures: "pr", "pr_corrected",
            "effective_rank", "d90", "d95", "d99" (interpolated, for intervals); with the suffix
            "@standardised" (divided by the base's standard deviations) or "@unit_norm" (rows
            scaled to length 1) where computed; "d90@integer", "d95@integer", "d99@integer" (the
            least whole number of dimensions); "pr@with_first" (position 0 added) and
            "pr@without_outliers" (norm outliers left out).
        spectrum: share of variance of the leading dimensions, base and fitted.
        drift: mean relative L2 distance of fitted from base rows.
        cosine: mean cosine of fitted and base rows.
        cka: linear CKA of base and fitted rows.
        overlap: mean squared cosine of the principal angles between the leading subspaces.
        angles: the principal angles in degrees, ascending.
        outside: share of fitted variance outside the base's leading d90 dimensions, beside the
            base's own share.
        outliers: positions with an outlier norm, base and fitted.
        rogue: dimensions that dominate the variance, base and fitted.
        missing: why a comparison of the two models is null or empty, by its name above: a block
            whose attention or MLP writes the same everywhere spans no space.
    """

    key: str
    label: str
    kind: str
    layer: int | None
    pre_norm: bool
    n_rows: int
    metrics: dict[str, Pair]
    spectrum: dict[str, tuple[float, ...]]
    drift: float | None
    cosine: float | None
    cka: float | None
    overlap: float | None
    angles: tuple[float, ...]
    outside: dict[str, float | None]
    outliers: dict[str, int]
    rogue: dict[str, tuple[int, ...]]
    missing: dict[str, str] = field(default_factory=dict)


def site_geometry(
    site: Site, sums: SiteSums, spectra: tuple[Spectrum, Spectrum], profile: Profile
) -> SiteGeometry:
    """Every figure of one site.

    Args:
        site: where.
        sums: what the first run left there.
        spectra: of the rows of base and fitted model, with vectors.
        profile: figures with each prompt left out, per variant.
    """
    ours, theirs = sums.moments["base"], sums.moments["fitted"]
    base, fitted = spectra
    metrics = {
        f"{name}{suffix}": difference_of(*sides, name)
        for suffix, sides in profile.items()
        for name in (*sides[0].full, *sides[0].missing)
    }
    for label, fraction in (("d90", 0.9), ("d95", 0.95), ("d99", 0.99)):
        metrics[f"{label}@integer"] = _integer_pair(base, fitted, fraction)
    metrics |= _alternatives(sums)
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
        outliers=dict(sums.outliers),
        rogue={
            "base": tuple(rogue_dimensions(ours)),
            "fitted": tuple(rogue_dimensions(theirs)),
        },
        **vars(_compared(sums, base, fitted)),
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


def _compared(sums: SiteSums, base: Spectrum, fitted: Spectrum) -> _Compared:
    """How far apart the rows are, as far as they vary at all."""
    drift = sums.drift.result() if sums.drift.n else None
    gone: dict[str, str] = {}
    if drift is None:
        gone = dict.fromkeys(("drift", "cosine"), "every row of one of the models is zero here")
    found = _Compared(drift and drift.relative, drift and drift.cosine, missing=gone)
    if not (base.total and fitted.total):
        reason = f"{SAME} in one of the models"
        names = ("cka", "overlap", "angles", "outside")
        return replace(found, missing=gone | dict.fromkeys(names, reason))
    assert base.vectors is not None
    assert fitted.vectors is not None
    ours, theirs = (sums.moments[role].covariance() for role in ("base", "fitted"))
    width = int(base.pca_dimension(0.9))
    leading = base.vectors[:, :width], fitted.vectors[:, :width]
    angles = principal_angles(*(vectors[:, :ANGLES] for vectors in leading))
    return replace(
        found,
        cka=float(sums.cross.linear_cka(ours, theirs)),
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


def _alternatives(sums: SiteSums) -> dict[str, Pair]:
    """Naive participation ratio with position 0 added, and with norm outliers left out."""
    if "base first" not in sums.moments:
        return {}
    added, inside = [], []
    for role in ("base", "fitted"):
        moments = sums.moments[role]
        copy = Moments.from_state(moments.state())
        added.append(_ratio(copy.merge(sums.moments[f"{role} first"])))
        outside = sums.moments.get(f"{role} outliers")
        kept = moments if outside is None else moments - outside
        inside.append(_ratio(kept))
    return {"pr@with_first": _plain(*added), "pr@without_outliers": _plain(*inside)}


def _ratio(moments: Moments) -> Measured:
    """Naive participation ratio, from traces; missing where nothing varies."""
    if not float(moments.covariance().trace()):
        return missing(SAME)
    return Measured(participation_ratio(moments))
