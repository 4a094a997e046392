"""The result of C5: the dimension of both models at every site."""

from dataclasses import dataclass, field

from hyperinterp.brief import Brief
from hyperinterp.claims.spec import Measured, Pair
from hyperinterp.drawing.result import Result


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
            "@standardised" (divided by the base's standard deviations), "@unit_norm" (rows scaled
            to length 1) or "@visible" (in the metric of the model's readout: the dimension of the
            centred logits) where computed; "d90@integer", "d95@integer", "d99@integer" (the
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
        distance: mean L2 distance of fitted from base rows.
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
    distance: float | None = None


@dataclass(frozen=True)
class ExpansionResult(Result):
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
