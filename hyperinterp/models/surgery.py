"""Exchange components between two models of one architecture, for the time of a context."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from hyperinterp.errors import MismatchedPair
from hyperinterp.models.carrying import Carrier, donors_head
from hyperinterp.models.components import Component, ComponentKind, paths_of
from hyperinterp.models.hooked import HookedModel, stream_of
from hyperinterp.models.placement import own_copy, weights_of
from hyperinterp.models.settings import differing_settings
from probes.devices import home

ROUNDED = 0.1
"""Share of a random change's norm that rounding may take or add before another is drawn."""


@contextmanager
def replaced(model: HookedModel, path: str, module: nn.Module) -> Iterator[None]:
    """Put `module` at `path` and restore the old one afterwards, also after an error."""
    parent_path, _, name = path.rpartition(".")
    parent = model.hf.get_submodule(parent_path)
    original = parent._modules[name]
    parent._modules[name] = module
    try:
        yield
    finally:
        parent._modules[name] = original


@contextmanager
def patched(
    recipient: HookedModel, donor: HookedModel, components: Sequence[Component]
) -> Iterator[HookedModel]:
    """The recipient with the donor's function at `components`; the donor is only read.

    The modules themselves are exchanged, so a donor's block or attention reads the recipient's
    stream, computing queries, keys and values from it with the donor's weights; in generation each
    block has its cache from the same run. What acts outside the weights goes along: a block or an
    attention gets the rotary embeddings and masks of the donor's settings, and an unembedding
    brings the donor's scales and caps of the logits.

    Args:
        recipient: the model that is changed for the time of the context.
        donor: the model whose modules are put in; its weights stay as they are.
        components: what is exchanged.

    Yields:
        The recipient.

    Raises:
        MismatchedPair: the two models differ in number of blocks, width or vocabulary.
    """
    shape = (recipient.n_layers, recipient.d_model, recipient.vocab_size)
    other = (donor.n_layers, donor.d_model, donor.vocab_size)
    if shape != other:
        raise MismatchedPair(
            "patch: expected the same number of blocks, width and vocabulary, "
            f"found {shape} and {other}"
        )
    with ExitStack() as stack:
        for component in components:
            for path in paths_of(recipient, component):
                stack.enter_context(replaced(recipient, path, donor.hf.get_submodule(path)))
        if differing_settings(recipient, donor):
            stack.enter_context(Carrier(recipient, donor, components).active())
            if any(component.kind is ComponentKind.UNEMBED for component in components):
                stack.enter_context(donors_head(recipient, donor))
        yield recipient


@contextmanager
def edited(
    model: HookedModel,
    layer: int,
    change: Callable[[Tensor], Tensor],
    rows: slice | Tensor = slice(None),
) -> Iterator[HookedModel]:
    """The model with every output of one block changed, in reading as in generation.

    Args:
        model: the model that is changed for the time of the context.
        layer: index of the block.
        change: maps the stream that leaves it, `[batch, position, d_model]`, to another one of
            the same shape and dtype.
        rows: those of the batch that are changed; all of them by default.

    Yields:
        The model.
    """

    def after(_module: nn.Module, _given: object, output: Any) -> Any:
        stream = stream_of(output)
        changed = stream.clone()
        changed[rows] = change(home(stream[rows])).to(stream)
        return changed if isinstance(output, Tensor) else (changed, *output[1:])

    handle = model.blocks[layer].register_forward_hook(after)
    try:
        yield model
    finally:
        handle.remove()


def perturbation(
    recipient: HookedModel,
    donor: HookedModel,
    component: Component,
    noise: Callable[[Tensor], Tensor],
) -> dict[str, nn.Module]:
    """Return copies of the modules of one part with a random weight change: the null of a patch.

    Args:
        recipient: model whose modules are copied; it stays as it is.
        donor: model whose difference to the recipient sets the size of the change.
        component: where.
        noise: maps the true difference of one parameter (float32) to a random one; another at
            every call.

    Where the weights are too coarse for such a change (in bfloat16, a difference of single steps
    of a few weights, spread over all of them, is rounded away), and more than a tenth of its norm
    is lost or gained, the entries of the true difference go to random places with random signs
    instead: the same norm, as far as rounding at the new places lets it be.

    The recipient's own settings (positions, masks, scales) stay: only weights are changed.
    """
    found: dict[str, nn.Module] = {}
    for path in paths_of(recipient, component):
        changed = own_copy(recipient.hf.get_submodule(path))
        theirs = weights_of(donor.hf.get_submodule(path))
        with torch.no_grad():
            for name, parameter in changed.named_parameters():
                difference = theirs[name].to(parameter.device).float() - parameter.float()
                parameter.copy_(_moved(parameter, difference, noise))
        found[path] = changed
    return found


@contextmanager
def perturbed(model: HookedModel, modules: Mapping[str, nn.Module]) -> Iterator[HookedModel]:
    """The model with other modules at some paths, as `perturbation` makes them.

    Args:
        model: model to change for the time of the context.
        modules: by path.

    Yields:
        The model.
    """
    with ExitStack() as stack:
        for path, module in modules.items():
            stack.enter_context(replaced(model, path, module))
        yield model


def _moved(parameter: Tensor, difference: Tensor, noise: Callable[[Tensor], Tensor]) -> Tensor:
    """A parameter after a random change, rounded once to its own dtype."""
    exact = parameter.to(torch.promote_types(parameter.dtype, torch.float32))
    drawn = noise(difference)
    moved = (exact + drawn).to(parameter.dtype)
    wanted = float(drawn.norm())
    if abs(float((moved - exact).norm()) - wanted) > ROUNDED * wanted:
        moved = (exact + _shuffled(difference, noise)).to(parameter.dtype)
    return moved


def _shuffled(difference: Tensor, noise: Callable[[Tensor], Tensor]) -> Tensor:
    """The entries of a difference in random places and with random signs."""
    places = noise(difference).flatten().argsort(stable=True)
    signs = torch.where(noise(difference).flatten() < 0, -1.0, 1.0)
    return (difference.flatten()[places] * signs).reshape(difference.shape)
