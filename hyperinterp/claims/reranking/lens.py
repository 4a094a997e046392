"""At which depth the fitted choice overtakes the base's: the logit lens of both models."""

from collections import defaultdict

import torch
from torch import Tensor

from hyperinterp.analyses.overriding import text_before
from hyperinterp.capture import Contexts, evenly
from hyperinterp.claims.reranking.result import LensProfile, LensTrajectory
from hyperinterp.models import check_logits
from hyperinterp.runs import depths
from hyperinterp.sites import Site
from hyperinterp.under_comparison import Study
from probes import LensReadout, lens_ranks, overtake_depth


def lens_profile(study: Study) -> LensProfile | None:
    """Overridden decisions through the depth of both models; None when there are none."""
    chosen = study.shared.followed
    if chosen is None:
        return None
    some, tokens, sites = chosen.contexts, chosen.tokens, depths(study.base.n_layers)
    kept = {role: study.shared.streams(role) for role in ("base", "fitted")}

    both = torch.stack([tokens["base"], tokens["fitted"]])

    def through(job: tuple[str, Site]) -> LensReadout:
        role, site = job
        model, stream = study.model(role), kept[role][site]

        def unembed(hidden: Tensor) -> Tensor:
            logits = model.readout(hidden)
            check_logits(f"{model.name}, lens at {site.label}", logits)
            return logits

        found = lens_ranks(stream, both, model.normalise, unembed, 64)
        return LensReadout(found.ranks.cpu(), found.log_probs.cpu())

    jobs = [(role, site) for role in ("base", "fitted") for site in sites]
    read: dict[str, list[LensReadout]] = defaultdict(list)
    for (role, _), readout in zip(jobs, study.run.processes.mapped(through, jobs), strict=True):
        read[role].append(readout)
    ranks = {
        (role, token): torch.stack([item.ranks[index] for item in items])
        for role, items in read.items()
        for index, token in enumerate(tokens)
    }
    log_probs = torch.stack([item.log_probs for item in read["fitted"]])
    above = overtake_depth(log_probs[:, 0], log_probs[:, 1])
    counts = torch.bincount(above.long(), minlength=len(sites) + 1).tolist()
    return LensProfile(
        depths=tuple(site.label for site in sites),
        n_contexts=len(some),
        base_median_rank=_medians(ranks["base", "fitted"]),
        fitted_median_rank=_medians(ranks["fitted", "fitted"]),
        overtake=tuple(counts[: len(sites)]),
        never=counts[len(sites)],
        trajectories=_trajectories(study, some, tokens, ranks),
    )


def _medians(ranks: Tensor) -> tuple[float, ...]:
    return tuple(ranks.double().quantile(0.5, dim=1).tolist())


def _trajectories(
    study: Study,
    contexts: Contexts,
    tokens: dict[str, Tensor],
    ranks: dict[tuple[str, str], Tensor],
    count: int = 12,
) -> tuple[LensTrajectory, ...]:
    found = []
    for index in evenly(len(contexts), count).tolist():
        found.append(
            LensTrajectory(
                prompt_id=study.heldout.prompt_id(int(contexts.row[index])),
                position=int(contexts.position[index]),
                context=text_before(study, contexts, index, 24),
                base_token=study.heldout.tokenizer.decode([int(tokens["base"][index])]),
                fitted_token=study.heldout.tokenizer.decode([int(tokens["fitted"][index])]),
                base_rank_of_fitted=tuple(ranks["base", "fitted"][:, index].tolist()),
                fitted_rank_of_fitted=tuple(ranks["fitted", "fitted"][:, index].tolist()),
                fitted_rank_of_base=tuple(ranks["fitted", "base"][:, index].tolist()),
            )
        )
    return tuple(found)
