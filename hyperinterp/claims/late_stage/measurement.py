"""C7: is training the last blocks enough?"""

from collections.abc import Mapping
from dataclasses import replace

from hyperinterp.analyses.growth import PRIMARY
from hyperinterp.analyses.intervals import context_mean, difference_of, mean_of
from hyperinterp.analyses.predictions import Reading, gain_share, read
from hyperinterp.analyses.recipes import recorded
from hyperinterp.analyses.scoring import compared, together, values, window_scores
from hyperinterp.capture import (
    Contexts,
    PairRun,
    PromptAccumulator,
    leave_one_out,
    rows_of_prompts,
    run_pair,
    spectra_everywhere,
    spectra_of,
)
from hyperinterp.claims.late_stage.result import LateStageResult, Twin
from hyperinterp.claims.spec import Measured, missing
from hyperinterp.errors import InputRefused
from hyperinterp.sites import Site, SiteKind
from hyperinterp.under_comparison import Study
from probes import DiversityScores, LeaveOneOut


def prepare(study: Study) -> None:
    """Orders the texts."""
    study.shared.texts.order_greedy(*_roles(study))


def measure(study: Study) -> LateStageResult:
    """Measure every late-stage twin beside base and reference; the first one decides."""
    if not study.given("late-stage"):
        raise InputRefused(
            "expected a late-stage checkpoint, found none; name it with --late-stage"
        )
    roles = _roles(study)
    scores = {
        role: window_scores(study.shared.texts.greedy(role), study.sizes.window) for role in roles
    }
    last = Site(SiteKind.RESID, study.base.n_layers - 1)
    with study.run.log.timed("sufficiency"):
        twins = _twins(study, scores, last)
        sides = compared(
            study.sizes.window, *(study.shared.texts.greedy(role) for role in roles[:3])
        )
        keep = together(*sides)
        base, fitted, late = (values(side, "ttr", keep) for side in sides)
    return LateStageResult(
        reference=study.fitted.name,
        twins=twins,
        gain_share=gain_share(base, fitted, late),
        difference=mean_of(late - fitted),
    )


def quantities(result: LateStageResult) -> dict[str, Measured]:
    """Return what the rule judges."""
    return {"share": result.gain_share}


def _roles(study: Study) -> list[str]:
    return ["base", "fitted", *study.named("late-stage")]


def _twins(study: Study, scores: Mapping[str, DiversityScores], last: Site) -> tuple[Twin, ...]:
    ours, theirs = study.shared.at_site(last)
    contexts = study.shared.contexts
    twins = [
        _twin(study, role, scores[role], _reading(study, role, contexts))
        for role in ("base", "fitted")
    ]
    twins[1] = replace(twins[1], last_delta=difference_of(ours, theirs, PRIMARY).delta)
    for role in scores:
        if role in ("base", "fitted"):
            continue
        run = _run(study, role, last)
        theirs = _left_out(study, role, run, last)
        twin = _twin(study, role, scores[role], _reading(study, role, run.contexts))
        twins.append(replace(twin, last_delta=difference_of(ours, theirs, PRIMARY).delta))
    return tuple(twins)


def _run(study: Study, role: str, last: Site) -> PairRun:
    """Base and twin over the passages, with the moments of the last block's output only."""
    run = run_pair(
        study.base,
        study.model(role),
        study.heldout.rows,
        sites=[last],
        contexts_per_row=study.sizes.contexts_per_prompt,
        batch_size=study.run.batch_size,
        tick=study.run.log.ticker(f"base and {role} read the passages", len(study.heldout.rows)),
        processes=study.run.processes,
    )
    for name in ("base", role):
        study.run.log.forwards[f"{name} over the passages"] += 1
    return run


def _left_out(study: Study, role: str, run: PairRun, last: Site) -> LeaveOneOut:
    """Second run of one model: the last block's figures with each passage left out."""
    model = study.model(role)
    own = [found.moments["fitted"] for found in run.sites.values()]  # one process has them
    solved = dict(zip(run.sites, spectra_of(own, model.home), strict=True))
    named = {site.key: found for site, found in solved.items()}
    (spectrum,) = spectra_everywhere(named, study.run.processes).values()
    accumulator = PromptAccumulator(spectrum, device=model.home)
    rows_of_prompts(
        model,
        run.rows,
        [last],
        {last: [accumulator]},
        batch_size=study.run.batch_size,
        tick=study.run.log.ticker(f"interval of the {role} last block", len(run.rows)),
        processes=study.run.processes,
    )
    study.run.log.forwards[f"{role} over the passages"] += 1
    return leave_one_out([accumulator], study.run.processes)[0]


def _reading(study: Study, role: str, found: Contexts) -> Reading:
    hidden = found.base if role == "base" else found.fitted
    return read(study.model(role), hidden, found.target, found.row, study.run.processes)


def _twin(study: Study, role: str, scores: DiversityScores, reading: Reading) -> Twin:
    model, keep = study.model(role), together(scores)
    recipe = recorded(model)
    layers = recipe.layers if role != "base" else None
    kind = role
    if role.startswith("late-stage"):
        kind = "late-stage" if role == "late-stage 0" else "sweep"
    return Twin(
        name=model.name,
        role=kind,
        trained_layers=layers,
        share_of_layers=None if layers is None else layers / model.n_layers,
        trainable_parameters=recipe.trainable if role != "base" else None,
        train_loss=recipe.loss if role != "base" else None,
        ttr=mean_of(values(scores, "ttr", keep)),
        rep_4=mean_of(values(scores, "rep_4", keep)),
        entropy=context_mean(reading.entropy, reading.row),
        heldout_loss=context_mean(reading.loss, reading.row),
        last_delta=missing("the base against itself"),
    )
