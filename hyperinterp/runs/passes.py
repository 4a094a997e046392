"""Passes over a text at some sites: both models once, sums, then each prompt against them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from hyperinterp.capture import (
    ContextRows,
    Half,
    PairRun,
    ResumeDirectory,
    Spool,
    feed_prompts,
    rows_of_prompts,
    run_pair,
    sums_from,
)
from hyperinterp.distributed import ALONE
from hyperinterp.models import HookedModel
from hyperinterp.runs.context import RunContext
from hyperinterp.runs.geometry import ROLES, Accumulators, Geometry, measure
from hyperinterp.runs.visibility import Views
from hyperinterp.sites import Site
from hyperinterp.text import TokenRows, TokenStream

Keepers = Mapping[str, Mapping[Site, ContextRows]]


@dataclass(frozen=True)
class Text:
    """A text and the models that read it.

    Attributes:
        models: by role, "base" and "fitted" among them.
        rows: the text.
        name: "passages" or "corpus".
        run: batches, processes and log.
        variants: of the rows, beside the plain ones.
        resume: keeps sums on disk on the way.
        half: rows that are read before the others, and where their moments are kept apart.
    """

    models: Mapping[str, HookedModel]
    rows: TokenRows | TokenStream
    name: str
    run: RunContext
    variants: tuple[str, ...]
    resume: ResumeDirectory | None = None
    half: Half | None = None

    def half_at(self, sites: Sequence[Site]) -> Half | None:
        """Return the same rows, with these sites alone."""
        if self.half is None:
            return None
        return replace(self.half, sites=[site for site in self.half.sites if site in sites])

    def counted(self, *roles: str) -> None:
        """Note down that models have read the text."""
        for role in roles:
            self.run.log.forwards[f"{role} over the {self.name}"] += 1


@dataclass(frozen=True)
class FirstPass:
    """The first pass at some sites: their sums, or their activations in `spool`."""

    sites: tuple[Site, ...]
    found: PairRun
    spool: Spool | None


def first_pass(
    text: Text,
    sites: Sequence[Site],
    *,
    kept: bool,
    contexts_per_row: int | None = None,
    positions: Callable[[int, int], Sequence[int]] | None = None,
) -> FirstPass:
    """Read a text with both models. Cost: each model once.

    Args:
        text: what to read.
        sites: where.
        kept: keep the activations rather than their sums.
        contexts_per_row: as in `run_pair`.
        positions: as in `run_pair`.
    """
    spool = Spool() if kept and sites else None
    found = run_pair(
        text.models["base"],
        text.models["fitted"],
        text.rows,
        sites=sites,
        unit_norm="unit_norm" in text.variants,
        contexts_per_row=contexts_per_row,
        positions=positions,
        batch_size=text.run.batch_size,
        tick=text.run.log.ticker(f"both models read the {text.name}", len(text.rows)),
        processes=text.run.processes,
        resume=text.resume,
        part=_part(sites),
        spool=spool,
        half=text.half_at(sites if spool is None else ()),
    )
    text.counted(*ROLES)
    return FirstPass(tuple(sites), found, spool)


def add_figures(
    geometry: Geometry, text: Text, first: FirstPass, views: Mapping[str, Views], keepers: Keepers
) -> None:
    """Measure the sites of a first pass. Cost: each model once more, unless it kept activations.

    Args:
        geometry: takes the figures.
        text: what was read.
        first: what the first pass left; it is used up.
        views: what each model's logits see of the stream.
        keepers: by role and site, what keeps rows of followed decisions on the way.
    """
    run = text.run
    every = {"variants": text.variants, "views": views, "processes": run.processes}

    def again(role: str, accumulators: Accumulators) -> None:
        kept = {site: item for site, item in keepers.get(role, {}).items() if site in first.sites}
        if not (accumulators or kept):
            return
        rows_of_prompts(
            text.models[role],
            text.rows,
            first.sites,
            accumulators,
            batch_size=run.batch_size,
            tick=run.log.ticker(f"intervals of the {role} geometry", len(text.rows)),
            processes=run.processes,
            resume=text.resume and (text.resume, f"intervals-{role}{_part(first.sites)}"),
            keepers=kept,
            early=None if text.half is None else text.half.numbers,
        )
        text.counted(role)

    if first.spool is None:
        geometry.half |= first.found.half
        measure(geometry, text.models, first.found.sites, again, sites=first.sites, **every)
        first.found.sites.clear()
        return
    _from_rows(geometry, text, first, views, keepers)


def _from_rows(
    geometry: Geometry, text: Text, first: FirstPass, views: Mapping[str, Views], keepers: Keepers
) -> None:
    """Measure the sites of a first pass that kept their activations, each in one process."""
    assert first.spool is not None
    own, base = Geometry(), text.models["base"]
    spool, mine = first.spool, first.spool.dealt(text.run.processes, first.sites, base.home)
    tick = text.run.log.ticker("geometry of the rows", len(mine))
    for site in mine:

        def feed(role: str, accumulators: Accumulators, site: Site = site) -> None:
            for numbers, tensor in spool.role(site, role):
                feed_prompts(
                    tensor, numbers, accumulators.get(site, ()), keepers.get(role, {}).get(site)
                )

        unit_norm = "unit_norm" in text.variants
        half = text.half_at([site])
        sums = sums_from(spool, site, base.d_model, unit_norm=unit_norm, half=half)
        own.half |= {site: sums.half} if sums.half else {}
        measure(
            own, text.models, {site: sums.every}, feed,
            sites=[site], variants=text.variants, views=views, processes=ALONE,
        )  # fmt: skip
        spool.drop(site)
        tick(1)
    geometry.take(own, first.sites, text.run.processes)


def _part(sites: Sequence[Site]) -> str:
    """A name for the files of some sites among those of others."""
    return f".{sites[0].key}-{sites[-1].key}" if sites else ""
