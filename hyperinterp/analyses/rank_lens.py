"""At which depth the fitted choice overtakes the base's: the logit lens of both models."""

from collections import defaultdict
from dataclasses import dataclass

import torch
from torch import Tensor

from hyperinterp.analyses.followed import depths, followed, streams
from hyperinterp.analyses.overriding import text_before
from hyperinterp.block import Brief
from hyperinterp.capture import Contexts
from hyperinterp.models import check_logits
from hyperinterp.sites import Site
from hyperinterp.study import Study
from probes import LensReadout, lens_ranks, overtake_depth


@dataclass(frozen=True)
class LensTrajectory(Brief):
    """Logit lens through both models for one override, for the report's figure.

    Attributes:
        prompt_id: which prompt.
        position: position of the context's last token.
        context: the text before the decision.
        base_token: the base's choice.
        fitted_token: the fitted model's choice.
        base_rank_of_fitted: per depth, rank of the fitted choice through the base's lens.
        fitted_rank_of_fitted: per depth, rank of the fitted choice through the fitted lens.
        fitted_rank_of_base: per depth, rank of the base's choice through the fitted lens.
    """

    prompt_id: str
    position: int
    context: str
    base_token: str
    fitted_token: str
    base_rank_of_fitted: tuple[int, ...]
    fitted_rank_of_fitted: tuple[int, ...]
    fitted_rank_of_base: tuple[int, ...]


@dataclass(frozen=True)
class LensProfile(Brief):
    """Overridden decisions followed through the depth of both models.

    Attributes:
        depths: labels of the depths (embedding, block 0, ...).
        n_contexts: overridden decisions followed.
        base_median_rank: per depth, median rank of the fitted choice through the base's lens.
        fitted_median_rank: per depth, the same through the fitted model's lens.
        overtake: per depth, number of decisions in which the fitted choice passes the base's
            choice there for good, through the fitted model's lens.
        never: decisions where it does not (rounding).
        trajectories: single decisions.
    """

    depths: tuple[str, ...]
    n_contexts: int
    base_median_rank: tuple[float, ...]
    fitted_median_rank: tuple[float, ...]
    overtake: tuple[int, ...]
    never: int
    trajectories: tuple[LensTrajectory, ...]


def lens_profile(study: Study) -> LensProfile | None:
    """Overridden decisions through the depth of both models; None when there are none."""
    chosen = study.once(followed)
    if chosen is None:
        return None
    some, tokens, sites = chosen.contexts, chosen.tokens, depths(study)
    kept = {role: streams(study, role) for role in ("base", "fitted")}

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
    for (role, _), readout in zip(jobs, study.processes.mapped(through, jobs), strict=True):
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
    for index in torch.linspace(0, len(contexts) - 1, min(count, len(contexts))).long().tolist():
        found.append(
            LensTrajectory(
                prompt_id=study.prompt_id(int(contexts.row[index])),
                position=int(contexts.position[index]),
                context=text_before(study, contexts, index, 24),
                base_token=study.tokenizer.decode([int(tokens["base"][index])]),
                fitted_token=study.tokenizer.decode([int(tokens["fitted"][index])]),
                base_rank_of_fitted=tuple(ranks["base", "fitted"][:, index].tolist()),
                fitted_rank_of_fitted=tuple(ranks["fitted", "fitted"][:, index].tolist()),
                fitted_rank_of_base=tuple(ranks["fitted", "base"][:, index].tolist()),
            )
        )
    return tuple(found)
