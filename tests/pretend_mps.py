"""A tensor that says it is on mps and, as there, refuses float64; computed on the CPU.

torch knows the device by name only where it was built with it, so that this goes no deeper than
what Python sees: attributes, methods and functions.
"""

from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map

MPS = torch.device("mps")


class Mps(torch.Tensor):
    """A tensor on the pretended device."""

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        if func == torch.Tensor.device.__get__:  # pyright: ignore[reportAttributeAccessIssue]
            return MPS
        return _there(func, args, kwargs or {})


class Apple(TorchFunctionMode):
    """Within it, tensors made for mps are on the pretended device."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if "device" in kwargs and torch.device(kwargs["device"] or "cpu") == MPS:
            return _there(func, args, kwargs | {"device": "cpu"})
        return func(*args, **kwargs)


def on_mps(tensor: torch.Tensor) -> Any:
    """The same numbers, on the pretended device."""
    return tensor.as_subclass(Mps)


def _there(func: Any, args: Any, kwargs: Any) -> Any:
    with torch._C.DisableTorchFunctionSubclass():
        found = func(*args, **kwargs)
        if func is torch.Tensor.cpu:
            return found.as_subclass(torch.Tensor)
        return tree_map(_placed, found)


def _placed(value: Any) -> Any:
    if not isinstance(value, torch.Tensor):
        return value
    if value.dtype == torch.float64:
        raise TypeError("Cannot convert a MPS Tensor to float64 dtype")
    return value.as_subclass(Mps)
