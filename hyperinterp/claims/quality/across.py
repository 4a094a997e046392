"""C10 in a study: the quality-diversity plane of all twins."""

from collections.abc import Iterator

from hyperinterp.claims.across import PlanePoint
from hyperinterp.claims.quality.result import QualityResult


def plane(result: QualityResult) -> Iterator[PlanePoint]:
    """Yield people, base, fitted model and the ways of decoding."""
    for item in result.texts:
        if item.kind != "half":
            yield PlanePoint(item.source, item.kind, item.excess, item.ttr)
