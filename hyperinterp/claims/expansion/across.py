"""C5 in a study: growth by depth of all twins."""

from collections.abc import Iterator

from hyperinterp.claims.across import DepthGrowth
from hyperinterp.claims.expansion.result import ExpansionResult


def depth(result: ExpansionResult) -> Iterator[DepthGrowth]:
    """Yield the growth at every block's output and at the final norm's."""
    for site in result.sites:
        if site.kind in ("resid", "final_norm") and result.primary in site.metrics:
            yield DepthGrowth(site.layer, site.label, site.metrics[result.primary].delta)
