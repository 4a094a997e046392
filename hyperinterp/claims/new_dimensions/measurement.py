"""C12: do the new dimensions carry the change?"""

from collections.abc import Sequence

import torch
from torch import Tensor

from hyperinterp.analyses.intervals import (
    NOTHING,
    context_mean,
    grouped,
    nothing,
    ratio_of,
    remaining_share,
    share_contrast,
)
from hyperinterp.analyses.overriding import DEEP
from hyperinterp.analyses.replays import shortened
from hyperinterp.capture import PairRun, run_pair
from hyperinterp.claims.new_dimensions.directions import (
    LEADING,
    NEW,
    RANDOM,
    SiteDirections,
    estimated,
    whole,
)
from hyperinterp.claims.new_dimensions.interventions import (
    COMPONENT,
    MEAN,
    Effect,
    Intervened,
    Job,
    intervened,
)
from hyperinterp.claims.new_dimensions.result import (
    AblatedText,
    DepthEffect,
    Intervention,
    NewDimensionsResult,
)
from hyperinterp.claims.new_dimensions.writing import ablated_texts
from hyperinterp.claims.spec import Measured, missing
from hyperinterp.sites import Site, SiteKind
from hyperinterp.study import Study

SAME = "nothing to undo: the models choose alike"


def prepare(study: Study) -> None:
    """Orders the texts that those without directions are compared with."""
    if study.sizes.hybrids:
        study.shared.texts.order_greedy("base", "fitted")


def measure(study: Study) -> NewDimensionsResult:
    """Estimate directions on every other prompt, and replace them on the rest."""
    numbers = range(len(study.heldout.rows))
    used = numbers[1::2][: 2 * study.sizes.transplant_prompts]
    with study.run.ledger.timed("new dimensions"):
        sites = _estimates(study, numbers[::2])
        last = sites[-1]
        jobs = _jobs(last)
        task = "the last block's directions are replaced"
        found = intervened(study, study.heldout.rows.chosen(used), jobs, task)
        profile, run = _profile(study, sites, used[: study.sizes.transplant_prompts])
    texts = ablated_texts(study, last, used)
    over = _overridden(found)
    sets = _grouped(jobs)
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
        deep_share=_share(over & (found.base_rank > DEEP), over, found.row),
        undone=_undone(found, sets, NEW, last),
        above_random=_margin(study, found, sets, RANDOM, last),
        above_leading=_margin(study, found, sets, LEADING, last),
        diversity_undone=_diversity(found, texts),
        interventions=tuple(
            _described(found, jobs, chosen, last.declared) for chosen in sets.values()
        ),
        profile=profile,
        texts=texts,
        blocks_run=found.executed + run,
    )


def quantities(result: NewDimensionsResult) -> dict[str, Measured]:
    """Return what the rule judges."""
    return {
        "undone": result.undone,
        "random": result.above_random,
        "leading": result.above_leading,
        "diversity": result.diversity_undone,
    }


def _estimates(study: Study, numbers: Sequence[int]) -> list[SiteDirections]:
    """The directions of the sites of the profile, the last block's last."""
    layers = depths(study.base.n_layers, study.sizes.dimension_blocks)
    rows = study.heldout.rows.chosen(numbers)
    run: PairRun = run_pair(
        study.base,
        study.fitted,
        rows,
        sites=[Site(SiteKind.RESID, layer) for layer in layers],
        positions=lambda _number, _length: (),
        batch_size=study.run.processes.rows_per_batch(study.run.batch_size, [len(rows)])[0],
        tick=study.run.ledger.ticker("both models read for the new directions", len(rows)),
        processes=study.run.processes,
    )
    for role in ("base", "fitted"):
        study.run.ledger.forwards[f"{role} over the passages of the new directions"] += 1

    def solved(site: Site) -> SiteDirections:
        last = site.layer == study.base.n_layers - 1
        return estimated(
            site, run.sites[site], draws=study.sizes.null_draws, seed=study.run.seed, ladder=last
        )

    return study.run.processes.mapped(solved, run.sites)


def depths(layers: int, others: int | None) -> tuple[int, ...]:
    """Return the blocks at which directions are replaced: some others, evenly, and the last.

    Args:
        layers: number of blocks.
        others: how many beside the last one; None for all.

    >>> depths(30, 4)
    (3, 10, 18, 25, 29)
    """
    count = layers - 1 if others is None else min(others, layers - 1)
    even = [int((index + 0.5) * (layers - 1) / count) for index in range(count)]
    return (*even, layers - 1)


def _jobs(site: SiteDirections) -> list[Job]:
    """Every intervention at the last block."""
    layer, mean = site.site.layer or 0, site.means["fitted"]
    every = whole(site)
    found = [Job("fitted", layer, item) for item in (*site.sets, every)]
    found += [
        Job("fitted", layer, item, MEAN, mean)
        for item in site.sets
        if item.kind == NEW or item.dose == site.declared
    ]
    return found + [Job("base", layer, item) for item in (*site.verdict, every)]


Key = tuple[str, str, str, int]


def _grouped(jobs: Sequence[Job]) -> dict[Key, list[int]]:
    """Numbers of the jobs that differ in the draw alone."""
    found: dict[Key, list[int]] = {}
    for number, job in enumerate(jobs):
        key = (job.recipient, job.given, job.directions.kind, job.directions.dose)
        found.setdefault(key, []).append(number)
    return found


def _overridden(found: Intervened) -> Tensor:
    return found.unchanged["fitted"].choice != found.unchanged["base"].choice


def _share(part: Tensor, whole_: Tensor, row: Tensor) -> Measured:
    """Sum of `part` over sum of `whole_`; 0 where there is nothing to undo."""
    wholes = grouped(whole_, row)
    if wholes.sum() <= NOTHING:
        return nothing(len(wholes), SAME)
    return ratio_of(grouped(part, row), wholes)


def _described(
    found: Intervened, jobs: Sequence[Job], numbers: Sequence[int], declared: int
) -> Intervention:
    """What the draws of one intervention do on average."""
    mine = [jobs[number] for number in numbers]
    effects = [found.effects[number] for number in numbers]
    job, row, over = mine[0], found.row, _overridden(found)
    own, other = (found.unchanged[role] for role in (job.recipient, job.donor))

    def mean(each: list[Tensor]) -> Tensor:
        return torch.stack([item.double() for item in each]).mean(0)

    back = mean([effect.choice == other.choice for effect in effects]) * over
    third = mean([(e.choice != other.choice) & (e.choice != own.choice) for e in effects]) * over
    changed = mean([effect.choice != own.choice for effect in effects]) * ~over
    deep = over & (found.base_rank > DEEP)
    kl = mean([effect.kl for effect in effects])
    return Intervention(
        recipient=job.recipient,
        given=job.given,
        kind=job.directions.kind,
        dose=job.directions.dose,
        declared=job.directions.dose == declared,
        directions=sum(item.directions.basis.shape[1] for item in mine) / len(mine),
        draws=len(mine),
        removed=sum(item.directions.removed for item in mine) / len(mine),
        moved=_share(back, over, row),
        deep_moved=_share(back * deep, deep, row),
        elsewhere=_share(third, over, row),
        disturbed=_share(changed, ~over, row),
        recovered_kl=remaining_share(own.kl - kl, own.kl, row),
    )


def _effects(
    found: Intervened, sets: dict[Key, list[int]], kind: str, site: SiteDirections
) -> list[Effect]:
    """What the draws of one kind do at the declared dose; nothing where nothing has grown."""
    numbers = sets.get(("fitted", COMPONENT, kind, site.declared), [])
    return [found.effects[number] for number in numbers] or [found.unchanged["fitted"]]


def _back(found: Intervened, effect: Effect) -> Tensor:
    """Where an override is undone."""
    return (_overridden(found) & (effect.choice == found.unchanged["base"].choice)).double()


def _undone(
    found: Intervened, sets: dict[Key, list[int]], kind: str, site: SiteDirections
) -> Measured:
    backs = [_back(found, effect) for effect in _effects(found, sets, kind, site)]
    return _share(torch.stack(backs).mean(0), _overridden(found), found.row)


def _margin(
    study: Study,
    found: Intervened,
    sets: dict[Key, list[int]],
    kind: str,
    site: SiteDirections,
) -> Measured:
    """Share undone by the new directions minus the most that a set of another kind undoes."""
    (new,) = _effects(found, sets, NEW, site)
    others = _effects(found, sets, kind, site)
    gains = [_back(found, effect) for effect in (new, *others)]
    return share_contrast(gains, _overridden(found).double(), found.row, study.run.seed)


def _diversity(found: Intervened, texts: Sequence[AblatedText]) -> Measured:
    """Share of the diversity gain that goes with the new directions."""
    if float(found.unchanged["fitted"].kl.sum()) <= NOTHING:
        return nothing(len(found.row.unique()), SAME)
    for item in texts:
        if item.kind == NEW:
            return item.undone
    return missing("no text was written without the new directions")


def _profile(
    study: Study, sites: Sequence[SiteDirections], numbers: Sequence[int]
) -> tuple[tuple[DepthEffect, ...], int]:
    """Overrides undone at every block of the profile, and how many blocks were run for it."""
    if len(sites) < 2:
        return (), 0
    jobs = [
        Job("fitted", site.site.layer or 0, item)
        for site in sites
        for item in site.verdict
        if item.kind in (NEW, RANDOM, LEADING) and item.draw == 0
    ]
    rows = shortened(study, numbers)
    found = intervened(study, rows, jobs, "directions of other blocks are replaced")
    profile = []
    for site in sites:
        mine = [number for number, job in enumerate(jobs) if job.layer == site.site.layer]
        own = _grouped([jobs[number] for number in mine])
        sets = {key: [mine[place] for place in places] for key, places in own.items()}
        undone = [_undone(found, sets, kind, site) for kind in (NEW, RANDOM, LEADING)]
        removed = next((item.removed for item in site.verdict if item.kind == NEW), 0.0)
        profile.append(
            DepthEffect(site.site.layer or 0, site.growth, site.declared, removed, *undone)
        )
    return tuple(profile), found.executed
