"""Overridden decisions that are followed through the depth, and their streams."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from hyperinterp.analyses.overriding import found_overrides
from hyperinterp.capture import ContextRows, Contexts, rows_of_prompts
from hyperinterp.sites import Site, SiteKind, block_outputs
from hyperinterp.study import Study
from probes import Overrides


@dataclass(frozen=True)
class Followed:
    """Some of the decisions on held-out text that the fitted model overrides.

    Attributes:
        contexts: the decisions.
        tokens: the choice of each model there, `[n]`, by role.
    """

    contexts: Contexts
    tokens: dict[str, Tensor]


def held_out_overrides(study: Study) -> Overrides:
    """The greedy choices of both models at all contexts of the passages, compared."""
    return found_overrides(study.base, study.fitted, study.contexts, processes=study.processes)


def followed(study: Study) -> Followed | None:
    """An even choice of `lens_contexts` overridden decisions; None when there are none."""
    found = study.once(held_out_overrides)
    chosen = found.overridden.nonzero().squeeze(-1)
    if len(chosen) == 0:
        return None
    count = min(study.sizes.lens_contexts, len(chosen))
    chosen = chosen[torch.linspace(0, len(chosen) - 1, count).long()]
    tokens = {"base": found.base_token[chosen], "fitted": found.fitted_token[chosen]}
    return Followed(study.contexts.where(chosen), tokens)


def depths(study: Study) -> tuple[Site, ...]:
    """The residual stream from the embedding on, block by block."""
    return (Site(SiteKind.EMBED), *block_outputs(study.base.n_layers))


def keepers(study: Study) -> dict[Site, ContextRows]:
    """What keeps the stream of the followed decisions while a model reads the passages."""
    chosen = study.once(followed)
    if chosen is None:
        return {}
    return {site: ContextRows(chosen.contexts, study.base.d_model) for site in depths(study)}


def streams(study: Study, role: str) -> dict[Site, Tensor]:
    """The residual stream of one model at the followed decisions, per site `[n, d_model]`.

    Kept by the run for the intervals where there was one, else read here.
    """
    if role not in study.kept_rows:
        study.kept_rows[role] = _read(study, role)
    kept = study.kept_rows[role]
    return {site: item.everywhere(study.processes) for site, item in kept.items()}


def _read(study: Study, role: str) -> dict[Site, ContextRows]:
    """One model over the passages that hold followed decisions, and over no others."""
    chosen = study.once(followed)
    if chosen is None:
        return {}
    prompts = chosen.contexts.row.unique()
    contexts = replace(chosen.contexts, row=torch.searchsorted(prompts, chosen.contexts.row))
    kept = {site: ContextRows(contexts, study.base.d_model) for site in depths(study)}
    rows_of_prompts(
        study.model(role),
        study.contexts_rows.chosen(prompts.tolist()),
        list(kept),
        {},
        batch_size=study.processes.rows_per_batch(study.batch_size, [len(prompts)])[0],
        processes=study.processes,
        keepers=kept,
    )
    study.ledger.forwards[f"{role} over the passages of the lens"] += 1
    return kept
