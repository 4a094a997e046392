"""Growth of the feature space at one site against that at others."""

from collections.abc import Sequence

import numpy as np

from hyperinterp.analyses.intervals import resampled
from hyperinterp.claims.spec import Measured, missing
from hyperinterp.sites import Site
from probes import LeaveOneOut, bootstrap_contrast, pseudo_values

PRIMARY = "pr_corrected"
"""The dimension that decides: the corrected participation ratio."""

Profile = dict[str, tuple[LeaveOneOut, LeaveOneOut]]
"""Per variant of the rows, base and fitted figures with each prompt left out."""


def growth_contrast(
    profiles: dict[Site, Profile],
    variant: str,
    name: str,
    target: Site,
    others: Sequence[Site],
    seed: int,
) -> Measured:
    """Delta at `target` minus the largest delta of `others`, with its interval.

    Args:
        profiles: per site and variant, leave-one-out figures of both models.
        variant: which rows, "" for the plain ones.
        name: the measure.
        target: the site in question.
        others: the sites to compare with.
        seed: of the bootstrap.
    """
    columns = []
    for site in [target, *others]:
        base, fitted = profiles[site][variant]
        if name in base.missing or name in fitted.missing:
            reason = base.missing.get(name) or fitted.missing[name]
            return missing(f"{site.label}: {reason}")
        ours = pseudo_values(base.full[name], base.loo[name])
        columns.append(pseudo_values(fitted.full[name], fitted.loo[name]) - ours)
    if not others:
        return missing("the model has one block only")
    values, rest = np.stack(columns, axis=1), list(range(1, len(columns)))
    return resampled(bootstrap_contrast, values, target=0, others=rest, seed=seed)
