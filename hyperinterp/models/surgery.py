"""Exchange parts between two models of one architecture, for the time of a context."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor, nn

from hyperinterp.errors import MismatchedPair
from hyperinterp.models.hooked import HookedModel
from hyperinterp.models.placement import own_copy, weights_of

ROUNDED = 0.1
"""Share of a random change's norm that rounding may take or add before another is drawn."""


class PartKind(StrEnum):
    """A part whose function can be exchanged."""

    BLOCK = "block"
    ATTN = "attention"
    MLP = "MLP"
    FINAL_NORM = "final norm"
    UNEMBED = "unembedding"


@dataclass(frozen=True)
class Part:
    """One exchangeable part; `layer` is the block index, None for the last two kinds."""

    kind: PartKind
    layer: int | None = None

    @property
    def label(self) -> str:
        """Words for people, e.g. `attention 3`."""
        return self.kind.value if self.layer is None else f"{self.kind.value} {self.layer}"


def blocks(layers: Sequence[int]) -> tuple[Part, ...]:
    """The whole blocks with these indices, as parts for `transplanted`.

    Args:
        layers: indices from 0.
    """
    return tuple(Part(PartKind.BLOCK, layer) for layer in layers)


def paths_of(model: HookedModel, part: Part) -> tuple[str, ...]:
    """Dotted paths of a part's modules inside the Hugging Face model; one for most families."""
    anatomy = model.anatomy
    block = f"{anatomy.blocks}.{part.layer}"
    match part.kind:
        case PartKind.FINAL_NORM:
            return (anatomy.final_norm,)
        case PartKind.UNEMBED:
            return (anatomy.unembed,)
        case PartKind.BLOCK:
            return (block,)
        case PartKind.ATTN:
            return (f"{block}.{anatomy.block.attn}",)
        case PartKind.MLP:
            return tuple(f"{block}.{path}" for path in anatomy.block.mlp_modules)


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
def transplanted(
    recipient: HookedModel, donor: HookedModel, parts: Sequence[Part]
) -> Iterator[HookedModel]:
    """The recipient with the donor's function at `parts`; the donor is only read.

    The modules themselves are exchanged, so a donor's block or attention reads the recipient's
    stream, computing queries, keys and values from it with the donor's weights; in generation each
    block has its cache from the same run.

    Args:
        recipient: the model that is changed for the time of the context.
        donor: the model whose modules are put in; its weights stay as they are.
        parts: what is exchanged.

    Yields:
        The recipient.

    Raises:
        MismatchedPair: the two models differ in number of blocks, width or vocabulary.
    """
    shape = (recipient.n_layers, recipient.d_model, recipient.vocab_size)
    other = (donor.n_layers, donor.d_model, donor.vocab_size)
    if shape != other:
        raise MismatchedPair(
            "transplant: expected the same number of blocks, width and vocabulary, "
            f"found {shape} and {other}"
        )
    with ExitStack() as stack:
        for part in parts:
            for path in paths_of(recipient, part):
                stack.enter_context(replaced(recipient, path, donor.hf.get_submodule(path)))
        yield recipient


@contextmanager
def perturbed(
    recipient: HookedModel,
    donor: HookedModel,
    part: Part,
    noise: Callable[[Tensor], Tensor],
) -> Iterator[HookedModel]:
    """The recipient with a random weight change at one part: the null of a transplant.

    Args:
        recipient: model to change for the time of the context.
        donor: model whose difference to the recipient sets the size of the change.
        part: where.
        noise: maps the true difference of one parameter (float32) to a random one; another at
            every call.

    Where the weights are too coarse for such a change (in bfloat16, a difference of single steps
    of a few weights, spread over all of them, is rounded away), and more than a tenth of its norm
    is lost or gained, the entries of the true difference go to random places with random signs
    instead: the same norm, as far as rounding at the new places lets it be.
    """
    with ExitStack() as stack:
        for path in paths_of(recipient, part):
            changed = own_copy(recipient.hf.get_submodule(path))
            theirs = weights_of(donor.hf.get_submodule(path))
            with torch.no_grad():
                for name, parameter in changed.named_parameters():
                    difference = theirs[name].to(parameter.device).float() - parameter.float()
                    parameter.copy_(_moved(parameter, difference, noise))
            stack.enter_context(replaced(recipient, path, changed))
        yield recipient


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
