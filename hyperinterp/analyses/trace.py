"""The measures of the report on one checkpoint of a run, beside the base's own.

The base is observed once; every checkpoint is observed once and held beside it, prompt by prompt.
"""

from dataclasses import dataclass, field

from hyperinterp.analyses.growth import PRIMARY, growth_contrast
from hyperinterp.analyses.intervals import context_mean, difference_of, mean_of, resampled
from hyperinterp.analyses.overriding import override_figures
from hyperinterp.analyses.predictions import Reading, pair_over_contexts, read
from hyperinterp.analyses.scoring import compared, together, values, window_scores
from hyperinterp.brief import Brief
from hyperinterp.capture import ModelRun, PromptAccumulator, rows_of_prompts, run_one
from hyperinterp.claims.spec import Measured, missing
from hyperinterp.generation import GREEDY, Generated
from hyperinterp.models import HookedModel
from hyperinterp.runs import found_overrides
from hyperinterp.sites import Site, SiteKind, block_outputs, stream_sites
from hyperinterp.under_comparison import Study
from probes import LeaveOneOut, bucket_counts, jackknife

SCORES = ("ttr", "distinct_2", "distinct_3", "rep_2", "rep_3", "rep_4")
DIMENSIONS = (PRIMARY, "d90")


@dataclass(frozen=True)
class SiteTrace(Brief):
    """The dimension of one site.

    Attributes:
        key: stable identifier, e.g. "resid.29".
        label: words, e.g. "block 29".
        kind: "embed", "resid" or "final_norm".
        layer: block index; None for embed and final_norm.
        pre_norm: False only for the final norm's output.
        figures: "pr_corrected" (corrected participation ratio) and "d90" (interpolated PCA
            dimension at 90 %).
        changes: the same minus the base's, the same prompts left out; empty for the base.
    """

    key: str
    label: str
    kind: str
    layer: int | None
    pre_norm: bool
    figures: dict[str, Measured]
    changes: dict[str, Measured] = field(default_factory=dict)


@dataclass(frozen=True)
class Growth:
    """Growth of the corrected participation ratio since the base, in depth.

    Attributes:
        last_block: at the last block's output.
        largest_other: the largest at any other block's output.
        largest_block: label of that block.
        final_norm: at the final norm's output.
        contrast: last block minus the largest other; that block chosen anew in every resample.
    """

    last_block: Measured
    largest_other: Measured
    largest_block: str
    final_norm: Measured
    contrast: Measured


@dataclass(frozen=True)
class Observed(Brief):
    """Every measure on one checkpoint.

    Attributes:
        figures: ttr, distinct_2, distinct_3, rep_2, rep_3, rep_4 of greedy text; entropy and
            heldout_loss in nats on the held-out passages; override_rate and deep_share (of the
            overrides, those from base ranks beyond 10) of the greedy choices against the base.
        changes: the scores, entropy and loss minus the base's, paired by prompt; empty for the
            base.
        buckets: decisions by base rank of the checkpoint's choice: 1, 2-10, 11-100, 101-1000,
            >1000.
        sites: the dimension of embedding, block outputs and final norm.
        growth: the same in four figures; None for the base.
    """

    figures: dict[str, Measured]
    changes: dict[str, Measured]
    buckets: tuple[int, ...]
    sites: tuple[SiteTrace, ...]
    growth: Growth | None


@dataclass(frozen=True)
class Side:
    """The runs of one model that every comparison with it needs."""

    written: Generated
    run: ModelRun
    reading: Reading
    left_out: dict[Site, LeaveOneOut]


def side(study: Study, model: HookedModel, role: str) -> Side:
    """Read the passages twice, write greedily once.

    Args:
        study: passages and sizes.
        model: the model, as `Study.admitted` gives it.
        role: what to call it while it runs.

    Raises:
        NumericalFault: an activation is NaN or infinite.
    """
    rows, sizes = study.heldout.rows, study.sizes
    sites = stream_sites(model.n_layers)
    with study.run.log.timed("reading"):
        run = run_one(
            model,
            rows,
            sites=sites,
            contexts_per_row=sizes.contexts_per_prompt,
            batch_size=study.run.batch_size,
            tick=study.run.log.ticker(f"{role} reads the passages", len(rows)),
        )
        accumulators = {
            site: PromptAccumulator(run.moments[site].spectrum(vectors=True)) for site in sites
        }
        rows_of_prompts(
            model,
            rows,
            sites,
            {site: [accumulator] for site, accumulator in accumulators.items()},
            batch_size=study.run.batch_size,
            tick=study.run.log.ticker(f"intervals of {role}", len(rows)),
        )
    study.run.log.forwards[f"{role} over the passages"] += 2
    written = study.shared.texts.write(model, task=f"{role} writes")[GREEDY.name]
    with study.run.log.timed("measures"):
        return Side(
            written=written,
            run=run,
            reading=read(model, run.hidden, run.target, run.row),
            left_out={
                site: accumulator.leave_one_out() for site, accumulator in accumulators.items()
            },
        )


def alone(study: Study, base: Side) -> Observed:
    """The base's own figures."""
    row = base.run.row
    scores = window_scores(base.written, study.sizes.window)
    keep = together(scores)
    never = Measured(0.0, n=len(row.unique()), method="the base agrees with itself")
    figures = {name: mean_of(values(scores, name, keep)) for name in SCORES}
    figures["entropy"] = context_mean(base.reading.entropy, row)
    figures["heldout_loss"] = context_mean(base.reading.loss, row)
    figures["override_rate"] = never
    figures["deep_share"] = missing("the base against itself: nothing is overridden")
    sites = tuple(
        _site(site, {name: _own(found, name) for name in DIMENSIONS}, {})
        for site, found in base.left_out.items()
    )
    return Observed(figures, {}, (len(row), 0, 0, 0, 0), sites, None)


def beside(study: Study, base: Side, model: HookedModel, mine: Side) -> Observed:
    """One checkpoint's figures, and its differences from the base on the same prompts."""
    with study.run.log.timed("measures"):
        sides = compared(study.sizes.window, base.written, mine.written)
        keep = together(*sides)
        row = mine.run.row
        figures, changes = {}, {}
        for name in SCORES:
            ours, theirs = (values(side, name, keep) for side in sides)
            figures[name], changes[name] = mean_of(theirs), mean_of(theirs - ours)
        for name, ours, theirs in (
            ("entropy", base.reading.entropy, mine.reading.entropy),
            ("heldout_loss", base.reading.loss, mine.reading.loss),
        ):
            pair = pair_over_contexts(ours, theirs, row)
            figures[name], changes[name] = pair.fitted, pair.delta
        found = found_overrides(study.base, model, base.run.beside(mine.run))
        return Observed(
            figures=figures | override_figures(found, row),
            changes=changes,
            buckets=tuple(bucket_counts(found.base_rank).tolist()),
            sites=tuple(
                _beside(site, ours, mine.left_out[site]) for site, ours in base.left_out.items()
            ),
            growth=_growth(study, base, mine),
        )


def _own(found: LeaveOneOut, name: str) -> Measured:
    if name in found.missing:
        return missing(found.missing[name])
    return resampled(jackknife, found.full[name], found.loo[name])


def _beside(site: Site, ours: LeaveOneOut, theirs: LeaveOneOut) -> SiteTrace:
    pairs = {name: difference_of(ours, theirs, name) for name in DIMENSIONS}
    return _site(
        site,
        {name: pair.fitted for name, pair in pairs.items()},
        {name: pair.delta for name, pair in pairs.items()},
    )


def _site(site: Site, figures: dict[str, Measured], changes: dict[str, Measured]) -> SiteTrace:
    return SiteTrace(
        site.key, site.label, site.kind.value, site.layer, site.pre_norm, figures, changes
    )


def _growth(study: Study, base: Side, mine: Side) -> Growth:
    last = Site(SiteKind.RESID, study.base.n_layers - 1)
    others = [site for site in block_outputs(study.base.n_layers) if site != last]
    pairs = {site: (base.left_out[site], mine.left_out[site]) for site in base.left_out}
    change = {site: difference_of(*sides, PRIMARY).delta for site, sides in pairs.items()}
    known = [site for site in others if change[site].value is not None]
    largest = max(known, key=lambda site: change[site].value or 0.0, default=None)
    nothing = missing("the model has one block only")
    return Growth(
        last_block=change[last],
        largest_other=nothing if largest is None else change[largest],
        largest_block="" if largest is None else largest.label,
        final_norm=change[Site(SiteKind.FINAL_NORM)],
        contrast=growth_contrast(
            {site: {"": sides} for site, sides in pairs.items()},
            "",
            PRIMARY,
            last,
            others,
            study.run.seed,
        ),
    )
