"""Other weights in a model for the time of a context."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from torch import Tensor, nn

from hyperinterp.errors import InputRefused
from hyperinterp.models.hooked import HookedModel


@contextmanager
def reweighted(model: HookedModel, weights: Mapping[str, Tensor]) -> Iterator[HookedModel]:
    """The model with other parameters at some names; its own are back afterwards.

    Args:
        model: the model that is changed for the time of the context.
        weights: by the names that `weights_of(model.hf)` gives, each of the shape, dtype and
            device of the parameter in its place.

    Yields:
        The model.

    Raises:
        InputRefused: some of the model's weights wait in memory until they are needed.
    """
    if any(hasattr(module, "_hf_hook") for module in model.hf.modules()):
        raise InputRefused(
            f"{model.name}: expected a model on one device, found weights that come and go; load "
            "it without a device map"
        )
    places = []
    for name, tensor in weights.items():
        path, _, own = name.rpartition(".")
        module = model.hf.get_submodule(path)
        places.append((module, own, module._parameters[own], tensor))
    try:
        for module, own, _, tensor in places:
            module._parameters[own] = nn.Parameter(tensor, requires_grad=False)
        yield model
    finally:
        for module, own, kept, _ in places:
            module._parameters[own] = kept
