"""Figures of one site that stay when its sums go: dimensions of both models, and how far apart."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from hyperinterp.capture import SiteAccumulators
from probes import (
    Moments,
    Spectrum,
    participation_ratio,
    principal_angles,
    rogue_dimensions,
    subspace_overlap,
    variance_outside,
)

ANGLES = 32
SAME = "all rows are the same, so nothing varies here"


@dataclass(frozen=True)
class Between:
    """The figures that compare the two models' rows.

    Attributes:
        drift: relative distance of paired rows; None where every row of a model is zero.
        cosine: mean cosine of paired rows; None likewise.
        cka: linear CKA.
        overlap: of the subspaces that hold 90 % of the base's variance.
        angles: between them, in degrees.
        outside: by role, share of the variance outside the base's subspace.
        missing: why a figure is not there, by its name.
        distance: mean distance of paired rows; None where every row of a model is zero.
    """

    drift: float | None
    cosine: float | None
    cka: float | None = None
    overlap: float | None = None
    angles: tuple[float, ...] = ()
    outside: dict[str, float | None] = field(default_factory=lambda: {"base": None, "fitted": None})
    missing: dict[str, str] = field(default_factory=dict)
    distance: float | None = None


@dataclass(frozen=True)
class SiteFigures:
    """Figures of both models at one site, in memory that does not grow with d_model squared.

    Attributes:
        n_rows: rows behind them.
        spectra: eigenvalues by role, without the vectors.
        ratios: naive participation ratio by role with position 0 added ("with_first") and with
            norm outliers left out ("without_outliers"); None where nothing varies.
        outliers: rows counted as outliers, by role.
        rogue: coordinates that dominate the variance, by role.
        between: what compares the two models.
    """

    n_rows: int
    spectra: Mapping[str, Spectrum]
    ratios: Mapping[str, Mapping[str, float | None]]
    outliers: Mapping[str, int]
    rogue: Mapping[str, tuple[int, ...]]
    between: Between


def site_figures(sums: SiteAccumulators, spectra: Mapping[str, Spectrum]) -> SiteFigures:
    """Return what is kept of one site.

    Args:
        sums: what the first run left there.
        spectra: of the rows, by role, with vectors.
    """
    sides = {role: sums.moments[role] for role in ("base", "fitted")}
    return SiteFigures(
        n_rows=sides["base"].n,
        spectra={role: _values(found) for role, found in spectra.items()},
        ratios=_ratios(sums),
        outliers=dict(sums.outliers),
        rogue={role: rogue_dimensions(moments) for role, moments in sides.items()},
        between=_between(sums, spectra["base"], spectra["fitted"]),
    )


def _values(found: Spectrum) -> Spectrum:
    return replace(found, eigenvalues=found.eigenvalues.cpu(), vectors=None, mean=None)


def _between(sums: SiteAccumulators, base: Spectrum, fitted: Spectrum) -> Between:
    """Compare the rows of both models, as far as they vary at all."""
    drift = sums.drift.result() if sums.drift.n else None
    gone: dict[str, str] = {}
    if drift is None:
        reason = "every row of one of the models is zero here"
        gone = dict.fromkeys(("drift", "cosine", "distance"), reason)
    found = Between(
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


def _ratios(sums: SiteAccumulators) -> dict[str, dict[str, float | None]]:
    """Naive participation ratio with position 0 added, and with norm outliers left out."""
    if "base first" not in sums.few:
        return {}
    found: dict[str, dict[str, float | None]] = {"with_first": {}, "without_outliers": {}}
    for role in ("base", "fitted"):
        moments = sums.moments[role]
        added = Moments.from_state(moments.state()).merge(sums.few[f"{role} first"].moments())
        found["with_first"][role] = _ratio(added)
        outside = sums.few.get(f"{role} outliers")
        kept = moments if outside is None else moments - outside.moments()
        found["without_outliers"][role] = _ratio(kept)
    return found


def _ratio(moments: Moments) -> float | None:
    """Naive participation ratio, from traces; None where nothing varies."""
    if not float(moments.covariance().trace()):
        return None
    return float(participation_ratio(moments))
