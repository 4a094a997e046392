"""Weights that FSDP has spread over processes: read whole, written back, counted once."""

import os
from collections.abc import Iterable, Mapping

import torch
from peft import PeftModel
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor

from hyperinterp.models import HookedModel


def asked_of_accelerate() -> bool:
    """Return whether `accelerate launch --use_fsdp` started this process."""
    return os.environ.get("ACCELERATE_USE_FSDP", "false").lower() in ("1", "true")


def block_classes(model: HookedModel) -> list[str]:
    """Class names of the blocks: the units in which FSDP gathers weights."""
    return sorted({type(block).__name__ for block in model.blocks})


def local(tensor: Tensor) -> Tensor:
    """This process's part of a tensor; the tensor itself where it is not spread."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def is_spread(module: nn.Module) -> bool:
    """Return whether some weights of a module are spread over processes at this moment."""
    return any(isinstance(parameter, DTensor) for parameter in module.parameters())


def whole(tensor: Tensor) -> Tensor:
    """All of a tensor, on the CPU; when it is spread, every process must call this."""
    full = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
    return full.detach().cpu().contiguous()


def spread_like(tensor: Tensor, other: Tensor) -> Tensor:
    """A whole tensor, spread as `other` of the same shape is."""
    if not isinstance(other, DTensor) or tensor.shape != other.shape:
        return tensor
    return distribute_tensor(tensor.to(other.device), other.device_mesh, other.placements)


def norms(tensors: Iterable[Tensor]) -> Tensor:
    """Euclidean norm of each tensor, in float32; the sum of squares over all parts of a spread one.

    Every process must call this with its parts of the same tensors.
    """
    given = list(tensors)
    each = torch.stack([torch.linalg.vector_norm(local(tensor).float()) for tensor in given])
    spread = [tensor for tensor in given if isinstance(tensor, DTensor)]
    if not spread:
        return each
    squares = each.square()
    torch.distributed.all_reduce(squares, group=spread[0].device_mesh.get_group())
    return squares.sqrt()


def whole_state(model: nn.Module) -> dict[str, Tensor]:
    """The tensors that a checkpoint of a spread model holds: an adapter's own, or all.

    Tied tensors stay one tensor under several names. Every process must call this.
    """
    adapter = isinstance(model, PeftModel)
    kept: dict[int, Tensor] = {}
    state: dict[str, Tensor] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        if adapter and not parameter.requires_grad:
            continue
        if id(parameter) not in kept:
            # What is gathered at this moment is freed by `state_dict`, hence the copy.
            kept[id(parameter)] = whole(parameter).clone()
        state[name] = kept[id(parameter)]
    if not adapter:
        stored: Mapping[str, Tensor] = model.state_dict()
        state.update({name: whole(t) for name, t in stored.items() if name not in state})
    return state
