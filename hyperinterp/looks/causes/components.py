"""Direct logit attribution of the change, by component."""

from collections.abc import Sequence

import torch
from torch import Tensor

from hyperinterp.analyses.intervals import context_mean
from hyperinterp.looks.causes.reading import Batch
from hyperinterp.looks.causes.result import ComponentShift
from hyperinterp.models import HookedModel
from hyperinterp.sites import Site, SiteKind, component_sites
from hyperinterp.under_comparison import Study
from probes.devices import home

KINDS = {SiteKind.EMBED: "embedding", SiteKind.ATTN: "attention", SiteKind.MLP: "MLP"}
CONSTANT = "biases"
"""What the final norm and the unembedding add whatever the stream is."""


def frozen_readout(
    model: HookedModel, stream: Tensor, first: Tensor, second: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the linear map from a stream to one logit difference, with the norm's scale frozen.

    The map gives, for each context, vectors `[n d]` and constants `[n]` such that the row times
    the vector plus the constant is logit(first) - logit(second) before any cap of the logits.

    Args:
        model: whose final norm and unembedding.
        stream: after the last block, which sets the scale, `[n d]`.
        first: token ids, `[n]`.
        second: token ids, `[n]`.
    """
    head = model.hf.get_submodule(model.anatomy.unembed)
    weight = home(head.get_parameter("weight").detach()).double()
    bias = getattr(head, "bias", None)
    vectors = weight[first] - weight[second]
    constant = torch.zeros(len(first), dtype=torch.float64, device=vectors.device)
    if bias is not None:
        wide = home(bias.detach()).double()
        constant = wide[first] - wide[second]
    with torch.no_grad():
        width = model.d_model
        zero = model.normalise(torch.zeros(1, width)).double()[0]
        unit = torch.eye(width) * width**0.5
        linear = model.normalise(unit).double() - zero  # row i: what dimension i becomes
        out = model.normalise(stream).double() - zero
    moved = stream.double().to(linear) @ linear
    scale = (out * moved).sum(-1) / moved.square().sum(-1).clamp_min(1e-300)
    directions = scale[:, None] * (vectors.to(linear) @ linear.mT)
    return directions, constant + vectors.to(zero) @ zero


def attributed(
    study: Study, every: Sequence[Batch]
) -> tuple[tuple[ComponentShift, ...], float | None]:
    """Return what every component adds to the change of the logit difference, and the whole.

    Args:
        study: the pair.
        every: both models on the passages.
    """
    sites = (Site(SiteKind.EMBED), *component_sites(study.base.n_layers))
    parts: list[Tensor] = []
    rows: list[Tensor] = []
    for batch in every:
        over = batch.over
        if not bool(over.any()):
            continue
        fitted, base = (_parts(study, batch, role, sites) for role in ("fitted", "base"))
        parts.append(fitted - base)
        rows.append(batch.row[over])
    if not parts:
        return (), None
    change, row = torch.cat(parts, 1), torch.cat(rows)
    whole = float(change.sum(0).mean())
    found = [
        _component(None if number == len(sites) else sites[number], part, row, whole)
        for number, part in enumerate(change)
    ]
    found.sort(key=lambda item: -abs(item.change.value or 0.0))
    return tuple(found), whole


def _component(site: Site | None, part: Tensor, row: Tensor, whole: float) -> ComponentShift:
    return ComponentShift(
        component=CONSTANT if site is None else site.label,
        layer=None if site is None else site.layer,
        kind="constant" if site is None else KINDS[site.kind],
        change=context_mean(part, row),
        share=float(part.mean()) / whole if whole else 0.0,
    )


def _parts(study: Study, batch: Batch, role: str, sites: Sequence[Site]) -> Tensor:
    """Each component's part of the logit difference at the overridden decisions, `[sites+1 n]`."""
    model, over = study.model(role), batch.over
    stream = batch.chosen(batch.recordings[role].inputs[model.n_layers])[over.to(model.home)]
    choices = (batch.predicted[which].choice.cpu()[over] for which in ("fitted", "base"))
    first, second = (choice.to(model.home) for choice in choices)
    directions, constant = frozen_readout(model, stream, first, second)
    rows = model.activations(batch.ids, sites)
    found = [
        (batch.chosen(rows[site])[over.to(model.home)].double() * directions).sum(-1)
        for site in sites
    ]
    return torch.stack([*found, constant]).cpu()
