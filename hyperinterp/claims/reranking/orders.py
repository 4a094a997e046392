"""Agreement of two models' orderings of the whole vocabulary."""

from typing import Any

import torch
from torch import Tensor

from hyperinterp.analyses.intervals import context_mean
from hyperinterp.capture import Contexts
from hyperinterp.claims.spec import missing
from hyperinterp.under_comparison import Study
from probes import jaccard_at_k, rank_biased_overlap, rank_flow, spearman

JACCARD_AT = (5, 20, 100)


def vocabulary_orders(study: Study, contexts: Contexts) -> dict[str, Any]:
    """Whole orderings of the vocabulary, on an even choice of the contexts."""
    chosen = contexts.evenly(study.sizes.order_contexts)

    def each(ours: Tensor, theirs: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        ordered = _ordered(ours) & _ordered(theirs)
        correlated = torch.zeros(len(ours), dtype=torch.float64)
        if bool(ordered.any()):
            correlated[ordered.cpu()] = spearman(ours[ordered], theirs[ordered]).cpu()
        figures = {
            "ordered": ordered.cpu(),
            "spearman": correlated,
            "rbo": rank_biased_overlap(ours, theirs).cpu(),
        }
        for k in JACCARD_AT:
            if k < ours.shape[-1]:
                figures[f"jaccard {k}"] = jaccard_at_k(ours, theirs, k).cpu()
        return rank_flow(ours, theirs).cpu(), figures

    found = study.shared.map_logits(chosen, each, 64)
    flow = torch.stack([part for part, _ in found]).sum(0)
    parts = [figures for _, figures in found]
    values = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
    ordered, correlated = values.pop("ordered"), values.pop("spearman")
    means = {name: context_mean(each_one, chosen.row) for name, each_one in values.items()}
    return {
        "flow": tuple(tuple(line) for line in flow.tolist()),
        "flow_contexts": len(chosen),
        "spearman": context_mean(correlated[ordered], chosen.row[ordered])
        if bool(ordered.any())
        else missing("in every context one of the models gives all tokens the same logit"),
        "rbo": means["rbo"],
        "jaccard": {
            name.removeprefix("jaccard "): figure
            for name, figure in means.items()
            if name.startswith("jaccard ")
        },
    }


def _ordered(logits: Tensor) -> Tensor:
    """Return a mask of the contexts whose logits are not all the same, `[n]`."""
    low, high = torch.aminmax(logits, dim=-1)
    return low < high
