"""C12: do the new dimensions carry the change?"""

from collections.abc import Mapping, Sequence

import torch

from hyperinterp.analyses.intervals import NOTHING, context_mean, nothing
from hyperinterp.analyses.overriding import DEEP
from hyperinterp.analyses.replays import shortened
from hyperinterp.claims.new_dimensions.counting import (
    SAME,
    Key,
    by_draw,
    described,
    margin,
    overridden,
    share_of,
    undone,
)
from hyperinterp.claims.new_dimensions.directions import (
    LEADING,
    NEW,
    RANDOM,
    SiteDirections,
    estimated,
    whole,
)
from hyperinterp.claims.new_dimensions.interventions import (
    MEAN,
    Intervened,
    Job,
    intervened,
)
from hyperinterp.claims.new_dimensions.result import (
    AblatedText,
    DepthEffect,
    NewDimensionsResult,
)
from hyperinterp.claims.new_dimensions.writing import ablated_texts, order_texts
from hyperinterp.claims.spec import Measured, missing
from hyperinterp.sites import Site
from hyperinterp.under_comparison import Study
from probes import Moments, visible_share


def prepare(study: Study) -> list[SiteDirections]:
    """Estimate directions on every other prompt; order the texts without them.

    Returns:
        The directions of the sites of the profile, the last block's last.
    """
    half = study.shared.half
    with study.run.log.timed("new dimensions"):
        sites = _estimates(study, half)
    order_texts(study, sites[-1], _used(study)[: study.sizes.control_prompts])
    return sites


def measure(study: Study, sites: list[SiteDirections]) -> NewDimensionsResult:
    """Replace the directions on the prompts that they were not estimated on."""
    numbers, used = range(len(study.heldout.rows)), _used(study)
    with study.run.log.timed("new dimensions"):
        last = sites[-1]
        visible = _seen(study, last)
        jobs = _jobs(last) + _below(sites[:-1])
        found = intervened(study, shortened(study, used), jobs, "directions are replaced")
    texts = ablated_texts(study, last, used[: study.sizes.control_prompts])
    over, every = overridden(found), by_draw(jobs)
    sets = {key: numbers for key, numbers in every.items() if key[0] == last.site.layer}
    return NewDimensionsResult(
        site=last.site.key,
        label=last.site.label,
        width=study.base.d_model,
        estimated_on=len(numbers[::2]),
        rows=last.rows,
        contexts=len(found.row),
        known=last.known,
        available=last.available,
        growth=last.growth,
        declared=last.declared,
        removed=next((item.removed for item in last.verdict if item.kind == NEW), 0.0),
        override_rate=context_mean(over.float(), found.row),
        deep_share=share_of(over & (found.base_rank > DEEP), over, found.row),
        undone=undone(found, every, NEW, last),
        above_random=margin(study, found, every, RANDOM, last),
        above_leading=margin(study, found, every, LEADING, last),
        diversity_undone=_diversity(found, texts),
        interventions=tuple(
            described(found, jobs, chosen, last.declared) for chosen in sets.values()
        ),
        profile=tuple(_at_depth(found, every, site) for site in sites),
        texts=texts,
        blocks_run=found.executed,
        visible=visible,
    )


def quantities(result: NewDimensionsResult) -> dict[str, Measured]:
    """Return what the rule judges."""
    return {
        "undone": result.undone,
        "random": result.above_random,
        "leading": result.above_leading,
        "diversity": result.diversity_undone,
    }


def _used(study: Study) -> range:
    """Numbers of the prompts that no direction is estimated on."""
    return range(len(study.heldout.rows))[1::2][: 2 * study.sizes.patch_prompts]


def _estimates(study: Study, half: Mapping[Site, Mapping[str, Moments]]) -> list[SiteDirections]:
    def solved(site: Site) -> SiteDirections:
        last = site.layer == study.base.n_layers - 1
        return estimated(
            site, half[site], draws=study.sizes.null_draws, seed=study.run.seed, ladder=last
        )

    return study.run.processes.mapped(solved, half)


def _seen(study: Study, site: SiteDirections) -> dict[str, float]:
    """Share of the variance of the fitted model's logits in each kind of declared directions."""
    views = study.shared.views.get("fitted")
    covariance = study.shared.half[site.site]["fitted"].covariance().cpu()
    if views is None or not site.declared:
        return {}
    metric = (views[True] @ views[True].mT).cpu()
    if float(torch.einsum("de,ed->", metric, covariance)) <= 0:
        return {}
    return {
        item.kind: float(visible_share(covariance, metric, item.basis))
        for item in site.verdict
        if item.draw == 0
    }


def _jobs(site: SiteDirections) -> list[Job]:
    """Every intervention at the last block."""
    layer, mean = site.site.layer or 0, site.means["fitted"]
    every, first = whole(site), [item for item in site.verdict if item.draw == 0]
    found = [Job("fitted", layer, item) for item in (*site.sets, every)]
    ends = (site.declared, site.available)
    found += [
        Job("fitted", layer, item, MEAN, mean)
        for item in site.sets
        if (item.kind == NEW and item.dose in ends) or item in first
    ]
    return found + [Job("base", layer, item) for item in (*first, every)]


def _below(sites: Sequence[SiteDirections]) -> list[Job]:
    """The declared directions of other blocks, and their rivals of equal variance."""
    return [
        Job("fitted", site.site.layer or 0, item)
        for site in sites
        for item in site.verdict
        if item.draw == 0
    ]


def _diversity(found: Intervened, texts: Sequence[AblatedText]) -> Measured:
    """Share of the diversity gain that goes with the new directions."""
    if float(found.unchanged["fitted"].kl.sum()) <= NOTHING:
        return nothing(len(found.row.unique()), SAME)
    for item in texts:
        if item.kind == NEW:
            return item.undone
    return missing("no text was written without the new directions")


def _at_depth(found: Intervened, sets: dict[Key, list[int]], site: SiteDirections) -> DepthEffect:
    """Return the effect of removing the declared directions of one block."""
    shares = [undone(found, sets, kind, site) for kind in (NEW, RANDOM, LEADING)]
    removed = next((item.removed for item in site.verdict if item.kind == NEW), 0.0)
    return DepthEffect(site.site.layer or 0, site.growth, site.declared, removed, *shares)
