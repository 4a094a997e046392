"""Values that a claim shows of many twins: its folder fills them, a study draws them.

A folder may have a module `across` with `plane(result)` or `depth(result)`, each an iterable of the
following.
"""

from dataclasses import dataclass

from hyperinterp.brief import Brief
from hyperinterp.claims.spec import Measured


@dataclass(frozen=True)
class PlanePoint(Brief):
    """The texts of one source in the quality-diversity plane.

    Attributes:
        source: what wrote them.
        kind: "human", "base", "fitted" or a way of decoding the base.
        excess: fresh surprisal beside that of the human texts, nats per token.
        ttr: type-token ratio.
    """

    source: str
    kind: str
    excess: Measured
    ttr: Measured


@dataclass(frozen=True)
class DepthGrowth(Brief):
    """Growth of the feature space at one place, fitted minus base.

    Attributes:
        layer: block index; None at the final norm.
        label: in words.
        delta: of the corrected participation ratio.
    """

    layer: int | None
    label: str
    delta: Measured
