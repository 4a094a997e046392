"""The map from a stream to the logits as one matrix: norms of rows are norms of logits."""

from collections.abc import Mapping

import torch
from jaxtyping import Float64
from torch import Tensor

from hyperinterp.models import HookedModel, same_function
from hyperinterp.run_log import RunLog
from probes import readout_metric

Views = dict[bool, Tensor]
"""What takes rows to what a model's logits see of them: before the final norm, and after it."""


def readout_views(models: Mapping[str, HookedModel], log: RunLog) -> dict[str, Views]:
    """Return the views of both models by role; none where one of them cannot be told.

    Args:
        models: by role, "base" and "fitted" among them.
        log: is told of an unembedding that is no plain matrix.
    """
    pair = {role: models[role] for role in ("base", "fitted")}
    blind = [model.name for model in pair.values() if not readable(model)]
    if blind:
        log.warn(
            f"{blind[0]}: its unembedding is no plain matrix, so what the logits see of the "
            "stream is not told."
        )
        return {}
    with log.timed("readout metric"):
        ours, theirs = (model.hf.get_submodule(model.anatomy.unembed) for model in pair.values())
        roots = dict.fromkeys(pair, readout_root(pair["base"]))
        if not same_function(ours, theirs):
            roots["fitted"] = readout_root(pair["fitted"])
        return {
            role: {True: before_norm(model, roots[role]), False: roots[role].to(model.home)}
            for role, model in pair.items()
        }


def readable(model: HookedModel) -> bool:
    """Return whether the logits are the final norm's output times a plain matrix."""
    weight = _unembedding(model)
    return weight.is_floating_point() and weight.ndim == 2 and weight.shape[1] == model.d_model


def readout_root(model: HookedModel) -> Float64[Tensor, "d d"]:
    """Return the symmetric root of the readout's metric.

    The final norm's output times it has the covariance of the centred logits, as far as its
    non-zero eigenvalues go. It is unique, so that several processes have the same one. A cap of
    the logits, which is no linear map, is left out, and so is a bias, which no covariance has.

    Args:
        model: a model that is `readable`.
    """
    metric = readout_metric(_unembedding(model)[: model.vocab_size].detach())
    values, vectors = torch.linalg.eigh(metric)
    return (vectors * values.clamp_min(0).sqrt()) @ vectors.mT


def before_norm(model: HookedModel, root: Float64[Tensor, "d d"]) -> Float64[Tensor, "d d"]:
    """Return what takes the stream before the final norm to what the logits see of it.

    The norm's linear part (its gain, and the mean that it takes away) stands before the root; its
    division by each row's own length is left out.

    Args:
        model: whose final norm.
        root: as `readout_root` gives it.
    """
    width = model.d_model
    # The rows of this matrix have a mean square of 1, so that the norm divides all alike.
    unit = torch.eye(width) * width**0.5
    with torch.no_grad():
        moved = model.normalise(unit).double() - model.normalise(torch.zeros(1, width)).double()
    return (moved.to(root) / width**0.5 @ root).to(model.home)


def _unembedding(model: HookedModel) -> Tensor:
    return model.hf.get_submodule(model.anatomy.unembed).get_parameter("weight")
