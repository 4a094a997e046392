"""At which depth the fitted choice overtakes the base's: the logit lens of both models."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from hyperinterp.analyses.overriding import found_overrides, text_before
from hyperinterp.capture import Contexts
from hyperinterp.models import HookedModel
from hyperinterp.sites import Site, SiteKind, block_outputs
from hyperinterp.study import Study
from probes import LensReadout, lens_ranks, overtake_depth


@dataclass(frozen=True)
class LensTrajectory:
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
class LensProfile:
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


def lens_profile(study: Study, contexts: Contexts) -> LensProfile | None:
    """Overridden decisions through the depth of both models; None when there are none."""
    found = found_overrides(study.base, study.fitted, contexts, processes=study.processes)
    chosen = found.overridden.nonzero().squeeze(-1)
    if len(chosen) == 0:
        return None
    count = min(study.sizes.lens_contexts, len(chosen))
    chosen = chosen[torch.linspace(0, len(chosen) - 1, count).long()]
    some = contexts.where(chosen)
    tokens = {
        "base": found.base_token[chosen],
        "fitted": found.fitted_token[chosen],
    }
    layers = study.base.n_layers
    sites = [Site(SiteKind.EMBED), *block_outputs(layers)]
    streams = {role: _streams(study, study.model(role), some, sites) for role in ("base", "fitted")}

    def through(job: tuple[tuple[str, str], Site]) -> LensReadout:
        (role, token_role), site = job
        model, stream = study.model(role), streams[role][site]
        found = lens_ranks(stream, tokens[token_role], model.normalise, model.readout, 64)
        return LensReadout(*(getattr(found, item.name).cpu() for item in fields(found)))

    sides = (("base", "fitted"), ("fitted", "fitted"), ("fitted", "base"))
    jobs = [(side, site) for side in sides for site in sites]
    read: dict[tuple[str, str], list[LensReadout]] = defaultdict(list)
    for (side, _), readout in zip(jobs, study.processes.mapped(through, jobs), strict=True):
        read[side].append(readout)
    ranks = {key: torch.stack([item.ranks for item in items]) for key, items in read.items()}
    above = overtake_depth(
        torch.stack([item.log_probs for item in read["fitted", "base"]]),
        torch.stack([item.log_probs for item in read["fitted", "fitted"]]),
    )
    counts = torch.bincount(above.long(), minlength=len(sites) + 1).tolist()
    return LensProfile(
        depths=tuple(site.label for site in sites),
        n_contexts=count,
        base_median_rank=_medians(ranks["base", "fitted"]),
        fitted_median_rank=_medians(ranks["fitted", "fitted"]),
        overtake=tuple(counts[: len(sites)]),
        never=counts[len(sites)],
        trajectories=_trajectories(study, some, tokens, ranks),
    )


def _medians(ranks: Tensor) -> tuple[float, ...]:
    return tuple(ranks.double().quantile(0.5, dim=1).tolist())


def _streams(
    study: Study, model: HookedModel, contexts: Contexts, sites: Sequence[Site]
) -> dict[Site, Tensor]:
    """The residual stream of one model at these contexts, per site `[n, d_model]`."""
    found = {site: torch.zeros(len(contexts), model.d_model) for site in sites}
    rows = contexts.row.unique().tolist()
    all_rows = study.contexts_rows
    picked = replace(all_rows, rows=tuple(all_rows.rows[row] for row in rows))
    size = study.processes.rows_per_batch(study.batch_size, len(picked))
    for numbers, ids in study.processes.share(picked.batches(size)):

        def read(site: Site, tensor: Tensor, numbers: list[int] = numbers) -> None:
            for index, number in enumerate(numbers):
                mine = (contexts.row == rows[number]).nonzero().squeeze(-1)
                found[site][mine] = tensor[index, contexts.position[mine]].float().cpu()

        model.run(ids, sites, read)
    # Every context was read by one process and is zero in the others.
    return {site: study.processes.summed(stream).float() for site, stream in found.items()}


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
