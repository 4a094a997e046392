"""Run two models side by side once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from hyperinterp.capture.accumulators import SiteAccumulators, below, check_finite, dealt, feed
from hyperinterp.capture.apart import Apart, Half, ordered
from hyperinterp.capture.contexts import Contexts, chosen_positions, contexts_of, joined
from hyperinterp.capture.resume import ResumeDirectory
from hyperinterp.capture.spool import Spool
from hyperinterp.distributed import ALONE, Processes
from hyperinterp.models import HookedModel
from hyperinterp.sites import Site, SiteKind
from hyperinterp.text import TokenRows, TokenStream
from hyperinterp.ticks import Tick
from probes import Moments

FIRST = "first-run"


@dataclass(frozen=True)
class PairRun:
    """The accumulators and contexts of one run of both models over the rows.

    Attributes:
        sites: sums of all rows; of several processes each has those of its share of the sites.
        contexts: next-token decisions.
        rows: the rows.
        half: moments by site and role of the rows that were read first.
    """

    sites: dict[Site, SiteAccumulators]
    contexts: Contexts
    rows: TokenRows | TokenStream
    half: dict[Site, dict[str, Moments]] = field(default_factory=dict)


@dataclass(frozen=True)
class SiteSums:
    """The sums of one site over all rows, and by role those of the rows that were read first."""

    every: SiteAccumulators
    half: dict[str, Moments]


def run_pair(
    base: HookedModel,
    fitted: HookedModel,
    rows: TokenRows | TokenStream,
    *,
    sites: Sequence[Site] = (),
    unit_norm: bool = False,
    contexts_per_row: int | None = None,
    positions: Callable[[int, int], Sequence[int]] | None = None,
    batch_size: int = 8,
    tick: Tick | None = None,
    processes: Processes = ALONE,
    resume: ResumeDirectory | None = None,
    half: Half | None = None,
    part: str = "",
    spool: Spool | None = None,
) -> PairRun:
    """Run both models over the same rows once.

    Args:
        base: first model.
        fitted: second model.
        rows: token ids; rows of equal length run together.
        sites: where moments are taken.
        unit_norm: also take moments of rows scaled to length 1.
        contexts_per_row: at most this many next-token contexts per row, evenly spaced.
        positions: maps a row's number and length to its contexts' positions, instead of the above.
        batch_size: rows per batch.
        tick: called with the number of rows done.
        processes: the processes that share the batches; all of them get the contexts, and the sums
            of a site go to one, its owner.
        resume: keeps the sums on disk on the way, and has those of a run that was cut short;
            contexts are not kept there, so `positions` has to choose none.
        half: rows that are read first, in batches of their own; not beside `resume`. The same
            rows alone add up to the same moments, to the bit.
        part: what its file there is called beside other runs over the same text.
        spool: keeps the activations at the sites, in place of their sums; `half` names no site.

    Raises:
        NumericalFault: an activation is not finite; names model and site.
    """
    here = sites if spool is None else ()
    accumulators = {site: SiteAccumulators.empty(base.d_model) for site in here}
    named = f"{FIRST}{part}"
    done = 0 if resume is None else _restore(resume, named, accumulators, base.home)
    kept: list[Contexts] = []
    intake = _Intake(processes, accumulators, unit_norm=unit_norm)
    if done:
        intake.agree()
    choose = positions or (lambda _number, length: chosen_positions(length, contexts_per_row))
    apart = Apart(half, accumulators, processes)
    batches = ordered(rows, batch_size, None if half is None else half.numbers)
    for index, (first, numbers, ids) in enumerate(processes.share(batches)):
        if not first:
            apart.keep()
        if tick is not None:
            tick(len(numbers) * processes.size)
        if index < done:
            continue
        ours = _run_finite(base, ids, sites)
        base_final = ours.pop(None)

        def read(
            site: Site,
            theirs: Tensor,
            ours: dict[Site | None, Tensor] = ours,
            numbers: list[int] = numbers,
        ) -> None:
            check_finite(fitted, site, theirs)
            if spool is None:
                intake.add(site, ours.pop(site), theirs)
            else:
                spool.add(site, numbers, ours.pop(site), _own(site, theirs))

        fitted_final = fitted.run(ids, sites, read)
        check_finite(fitted, Site(SiteKind.FINAL_NORM), fitted_final)
        chosen = [choose(number, ids.shape[1]) for number in numbers]
        if any(chosen):
            kept.append(contexts_of(numbers, ids, (base_final, fitted_final), chosen))
        intake.agree()
        if resume is not None:
            done = index + 1
            resume.save(named, done, _state_of(accumulators))
    intake.agree()
    apart.keep()
    if resume is not None:
        resume.save(named, done, _state_of(accumulators), now=True)
    mine = joined(kept, base.d_model)
    contexts = joined([part for part in processes.everywhere(mine) if len(part)], base.d_model)
    return PairRun(dealt(processes, accumulators), contexts, rows, apart.everywhere())


def sums_from(
    spool: Spool,
    site: Site,
    d_model: int,
    *,
    unit_norm: bool = False,
    half: Half | None = None,
) -> SiteSums:
    """The sums of one site from what a run kept of it, as that run would have made them.

    Args:
        spool: all batches of the site.
        site: where.
        d_model: width of the rows.
        unit_norm: also take moments of rows scaled to length 1.
        half: the rows that were read first, and this site where their moments are wanted.
    """
    sums = {site: SiteAccumulators.empty(d_model)}
    intake = _Intake(ALONE, sums, unit_norm=unit_norm)
    apart = Apart(half, sums, ALONE)
    early = set(() if half is None else half.numbers)
    for numbers, mine, theirs in spool.batches(site):
        if numbers[0] not in early:
            apart.keep()
        intake.add(site, mine, theirs)
        intake.agree()
    intake.agree()
    apart.keep()
    return SiteSums(sums[site], apart.everywhere().get(site, {}))


class _Intake:
    """Adds pairs of activations to the sums; the first batch waits until all processes agree.

    Products are in float32 about a reference: on one reference, the same batches add up to the
    same sums however they are dealt out. All take the references of the first row that the first
    process read, or of the sums that it goes on from.
    """

    def __init__(
        self,
        processes: Processes,
        accumulators: Mapping[Site, SiteAccumulators],
        *,
        unit_norm: bool,
    ) -> None:
        self._processes = processes
        self._accumulators = accumulators
        self._unit_norm = unit_norm
        self._held: dict[Site, tuple[Tensor, Tensor]] = {}
        self._agreed = not accumulators

    def add(self, site: Site, mine: Tensor, theirs: Tensor) -> None:
        """Take in one batch `[batch, position, d]` of both models at one site."""
        theirs = theirs.to(mine.device)
        if self._agreed:
            self._feed(self._accumulators[site], site, mine, theirs)
        else:
            self._held[site] = mine, _own(site, theirs)

    def agree(self) -> None:
        """Settle the references with all processes, once, and add what was held."""
        if self._agreed:
            return
        self._agreed = True
        for site, references in self._common_references().items():
            device = self._held[site][0].device if site in self._held else torch.device("cpu")
            self._accumulators[site].refer(references, device)
        for site, pair in self._held.items():
            self._feed(self._accumulators[site], site, *pair)
        self._held.clear()

    def _common_references(self) -> dict[Site, dict[str, Tensor]]:
        mine: dict[Site, dict[str, Tensor]] = {}
        for site, found in self._accumulators.items() if self._processes.first else ():
            if site in self._held:
                ours, theirs = self._held[site]
                found = SiteAccumulators.empty(ours.shape[-1])
                self._feed(found, site, ours[:1], theirs[:1])
            mine[site] = found.references()
        return self._processes.everywhere(mine)[0]

    def _feed(
        self, accumulators: SiteAccumulators, site: Site, mine: Tensor, theirs: Tensor
    ) -> None:
        feed(
            accumulators,
            {"base": mine, "fitted": theirs},
            stream=site.kind not in (SiteKind.ATTN, SiteKind.MLP),
            unit_norm=self._unit_norm,
        )


def _state_of(accumulators: Mapping[Site, SiteAccumulators]) -> Callable[[], dict[str, Tensor]]:
    """All sums as plain tensors, made when they are asked for."""
    return lambda: {
        f"{site.key}/{name}": tensor
        for site, found in accumulators.items()
        for name, tensor in found.state().items()
    }


def _restore(
    resume: ResumeDirectory,
    named: str,
    accumulators: dict[Site, SiteAccumulators],
    device: torch.device,
) -> int:
    """Put back the sums of a run that was cut short; returns how many batches they hold.

    They lie where a run that was not cut short has them: what is solved there comes out the same.
    """
    done, tensors = resume.restored(named)
    if done:
        for site in accumulators:
            accumulators[site] = SiteAccumulators.from_state(below(tensors, site.key), device)
    return done


def _run_finite(
    model: HookedModel, ids: Tensor, sites: Sequence[Site]
) -> dict[Site | None, Tensor]:
    """Activations of one batch by site, and the final norm's output under None."""
    found: dict[Site | None, Tensor] = {}

    def read(site: Site, tensor: Tensor) -> None:
        check_finite(model, site, tensor)
        found[site] = _own(site, tensor)

    found[None] = model.run(ids, sites, read)
    check_finite(model, Site(SiteKind.FINAL_NORM), found[None])
    return found


def _own(site: Site, tensor: Tensor) -> Tensor:
    """An activation that may be kept: some families add in place to what a part returned."""
    return tensor.clone() if site.kind in (SiteKind.ATTN, SiteKind.MLP) else tensor
