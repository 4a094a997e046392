"""Decisions that the fitted model overrides, and those of them that are followed in depth."""

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from hyperinterp.capture import CHUNK, Contexts, evenly, over_logits
from hyperinterp.distributed import ALONE, Processes
from hyperinterp.models import HookedModel
from hyperinterp.sites import Site, SiteKind, block_outputs
from probes import Overrides, overrides


@dataclass(frozen=True)
class Followed:
    """Some of the decisions on held-out text that the fitted model overrides.

    Attributes:
        contexts: the decisions.
        tokens: the choice of each model there, `[n]`, by role.
    """

    contexts: Contexts
    tokens: dict[str, Tensor]


def found_overrides(
    base: HookedModel,
    fitted: HookedModel,
    contexts: Contexts,
    change: tuple[float, Tensor] | None = None,
    processes: Processes = ALONE,
) -> Overrides:
    """Compare the greedy choices of both models at every context.

    Args:
        base: the model before.
        fitted: the model after.
        contexts: the decisions.
        change: a factor for the base's logits and what is added to them, `[vocab]`.
        processes: the processes that share the contexts.
    """
    names = [item.name for item in fields(Overrides)]

    def each(ours: Tensor, theirs: Tensor) -> list[Tensor]:
        changed = ours if change is None else change[0] * ours + change[1].to(ours)
        found = overrides(changed, theirs)
        return [getattr(found, name).cpu() for name in names]

    parts = over_logits(base, fitted, contexts, each, CHUNK, processes)
    return Overrides(*(torch.cat(column) for column in zip(*parts, strict=True)))


def evenly_followed(contexts: Contexts, found: Overrides, most: int) -> Followed | None:
    """Return an even choice of at most so many overridden decisions; None when there are none."""
    chosen = found.overridden.nonzero().squeeze(-1)
    if len(chosen) == 0:
        return None
    chosen = chosen[evenly(len(chosen), most)]
    tokens = {"base": found.base_token[chosen], "fitted": found.fitted_token[chosen]}
    return Followed(contexts.where(chosen), tokens)


def depths(n_layers: int) -> tuple[Site, ...]:
    """Return the residual stream from the embedding on, block by block."""
    return (Site(SiteKind.EMBED), *block_outputs(n_layers))
