"""Overrides and divergence that interventions undo, per prompt."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool
from torch import Tensor

from hyperinterp.analyses.intervals import (
    NOTHING,
    grouped,
    nothing,
    ratio_of,
    remaining_share,
    share_contrast,
)
from hyperinterp.analyses.overriding import DEEP
from hyperinterp.claims.new_dimensions.directions import NEW, SiteDirections
from hyperinterp.claims.new_dimensions.interventions import COMPONENT, Effect, Intervened, Job
from hyperinterp.claims.new_dimensions.result import Intervention
from hyperinterp.claims.spec import Measured
from hyperinterp.under_comparison import Study

SAME = "nothing to undo: the models choose alike"

Key = tuple[int, str, str, str, int]
"""Block, recipient, what is given, kind and dose."""


def by_draw(jobs: Sequence[Job]) -> dict[Key, list[int]]:
    """Numbers of the jobs that differ in the draw alone."""
    found: dict[Key, list[int]] = {}
    for number, job in enumerate(jobs):
        made = job.directions
        key = (job.layer, job.recipient, job.given, made.kind, made.dose)
        found.setdefault(key, []).append(number)
    return found


def overridden(found: Intervened) -> Bool[Tensor, " n"]:
    """Return a mask of the contexts where the two models choose differently as they are."""
    return found.unchanged["fitted"].choice != found.unchanged["base"].choice


def share_of(part: Tensor, whole_: Tensor, row: Tensor) -> Measured:
    """Sum of `part` over sum of `whole_`; 0 where there is nothing to undo."""
    wholes = grouped(whole_, row)
    if wholes.sum() <= NOTHING:
        return nothing(len(wholes), SAME)
    return ratio_of(grouped(part, row), wholes)


def described(
    found: Intervened, jobs: Sequence[Job], numbers: Sequence[int], declared: int
) -> Intervention:
    """Return the mean effect of one intervention over its draws."""
    mine = [jobs[number] for number in numbers]
    effects = [found.effects[number] for number in numbers]
    job, row, over = mine[0], found.row, overridden(found)
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
        moved=share_of(back, over, row),
        deep_moved=share_of(back * deep, deep, row),
        elsewhere=share_of(third, over, row),
        disturbed=share_of(changed, ~over, row),
        recovered_kl=remaining_share(own.kl - kl, own.kl, row),
    )


def _effects(
    found: Intervened, sets: dict[Key, list[int]], kind: str, site: SiteDirections
) -> list[Effect]:
    """Return the effect of each kind of draw at the declared dose; none where nothing has grown."""
    numbers = sets.get((site.site.layer or 0, "fitted", COMPONENT, kind, site.declared), [])
    return [found.effects[number] for number in numbers] or [found.unchanged["fitted"]]


def _back(found: Intervened, effect: Effect) -> Tensor:
    """Return a mask of the contexts where an override is undone."""
    return (overridden(found) & (effect.choice == found.unchanged["base"].choice)).double()


def undone(
    found: Intervened, sets: dict[Key, list[int]], kind: str, site: SiteDirections
) -> Measured:
    """Share of the overrides that directions of one kind undo at the declared number."""
    backs = [_back(found, effect) for effect in _effects(found, sets, kind, site)]
    return share_of(torch.stack(backs).mean(0), overridden(found), found.row)


def margin(
    study: Study,
    found: Intervened,
    sets: dict[Key, list[int]],
    kind: str,
    site: SiteDirections,
) -> Measured:
    """Share undone by the new directions: its margin over the best set of another kind."""
    (new,) = _effects(found, sets, NEW, site)
    others = _effects(found, sets, kind, site)
    gains = [_back(found, effect) for effect in (new, *others)]
    return share_contrast(gains, overridden(found).double(), found.row, study.run.seed)
