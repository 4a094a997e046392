"""Two accelerators that are not there: tensors on `pretend:0` and `pretend:1`, computed on the CPU.

What a GPU refuses is refused here: an operation whose tensors are on several devices (scalars and
an index on the CPU excepted), and a tensor of theirs taken for a NumPy array. `pretend()` makes the
devices known to torch for the whole process; tests do so in processes of their own.

`pretend(narrow=True)` makes devices without float64, as a Mac's mps is, which torch knows by that
name only where it was built with it. `FAULTS` lets an operation give wrong numbers there.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch.utils.backend_registration import (
    _DummyBackendModule,
    _setup_privateuseone_for_python_backend,
)

from probes import devices as kinds

aten = torch.ops.aten
COUNT = 2
INDEXING = ("aten::index", "aten::index_put", "aten::index_put_", "aten::_index_put_impl_")


FAULTS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {}
"""What becomes of the result of an operation (`aten::silu`) on the devices."""
_narrow = False


class _Backend(_DummyBackendModule):
    def device_count(self):
        return COUNT

    def get_amp_supported_dtype(self):
        return [torch.float16, torch.bfloat16]

    def get_rng_state(self, device=None):
        return torch.zeros(1, dtype=torch.uint8)

    def set_rng_state(self, state, device=None):
        pass


class Pretend(torch.Tensor):
    """A tensor that says it is on a pretended device, around one on the CPU."""

    @staticmethod
    def __new__(cls, raw, index=0, requires_grad=None):
        if requires_grad is not None:  # accelerate makes a parameter of the old one's class
            return torch.nn.Parameter(raw, requires_grad=requires_grad)
        return torch.Tensor._make_wrapper_subclass(
            cls, raw.shape, strides=raw.stride(), dtype=raw.dtype, layout=raw.layout,
            device=torch.device("pretend", index),
        )  # fmt: skip

    def __init__(self, raw, index=0, requires_grad=None):
        self.raw = raw_of(raw)

    __torch_function__ = torch._C._disabled_torch_function_impl

    def __repr__(self):
        return f"Pretend({self.raw!r}, device='{self.device}')"

    def __deepcopy__(self, memo):
        copied: Any = Pretend(self.raw.clone(), self.device.index)
        if isinstance(self, torch.nn.Parameter):
            copied = torch.nn.Parameter(copied, self.requires_grad)
        memo[id(self)] = copied
        return copied

    def tolist(self):
        return self.raw.tolist()

    def numpy(self, *_args, **_kwargs):
        raise TypeError(f"can't convert a tensor on {self.device} to numpy")

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if func is aten.copy_.default:
            raw_of(args[0]).copy_(raw_of(args[1]))
            return args[0]
        if func is aten._to_copy.default:
            target = torch.device(kwargs.pop("device", None) or args[0].device)
            return _placed(func(raw_of(args[0]), **kwargs), target)
        name = func._schema.name
        device = _one_device(name, args, kwargs)
        if torch.Tag.inplace_view in func.tags:
            func(raw_of(args[0]), *args[1:], **kwargs)
            return _reshaped(func, args, kwargs)
        if kwargs.get("device") is not None:
            device = torch.device(kwargs["device"])
            kwargs["device"] = torch.device("cpu")
        result = func(*mapped(raw_of, args), **{k: mapped(raw_of, v) for k, v in kwargs.items()})
        known = {id(t.raw): t for t in leaves((args, *kwargs.values())) if isinstance(t, Pretend)}
        for tensor in known.values():
            assert tensor.raw.shape == tensor.shape, f"{name} changed a shape in place"

        def given_back(out):
            if not isinstance(out, torch.Tensor):
                return out
            if name in FAULTS and device.type == "pretend" and id(out) not in known:
                out = FAULTS[name](out)
            return known[id(out)] if id(out) in known else _placed(out, device)

        return mapped(given_back, result)


def mapped(each, value):
    """`each` of every leaf of nested lists and tuples: what operations take and return."""
    if isinstance(value, list | tuple):
        return type(value)([mapped(each, item) for item in value])
    return each(value)


def leaves(value):
    """The leaves of nested lists and tuples, in order."""
    if isinstance(value, list | tuple):
        return [leaf for item in value for leaf in leaves(item)]
    return [value]


def raw_of(value):
    """The CPU tensor inside, or the value itself."""
    return value.raw if isinstance(value, Pretend) else value


def _placed(tensor, device):
    if device.type == "pretend":
        _check_width(tensor)
        return Pretend(tensor, device.index or 0)
    return tensor.to(device)


def _check_width(tensor):
    if _narrow and tensor.dtype == torch.float64:
        raise TypeError("Cannot convert a tensor to float64: the device has no float64")


def _one_device(name, args, kwargs):
    """The device of an operation's tensors.

    Raises:
        RuntimeError: they are on several.
    """
    tensors = [t for t in leaves((args, *kwargs.values())) if isinstance(t, torch.Tensor)]
    if name in INDEXING:
        indices = {id(t) for t in leaves(args[1]) if t is not None}
        tensors = [t for t in tensors if t.device.type != "cpu" or id(t) not in indices]
    wide = {t.device for t in tensors if t.ndim}
    devices = wide or {t.device for t in tensors if t.device.type != "cpu"}
    if len(devices) != 1:
        shapes = [(str(t.device), tuple(t.shape)) for t in tensors]
        raise RuntimeError(f"{name}: expected all tensors to be on the same device, found {shapes}")
    device = devices.pop()
    if device.type == "cpu":  # beside a number that is on an accelerator
        device = next(t.device for t in tensors if t.device.type != "cpu")
    return device


def _reshaped(func, args, kwargs):
    """Let an in-place change of shape also change what the tensor says of itself."""
    with torch._C._DisableTorchDispatch():
        before = torch._C._meta_in_tls_dispatch_include()
        torch._C._set_meta_in_tls_dispatch_include(True)
        try:
            func(*args, **kwargs)
        finally:
            torch._C._set_meta_in_tls_dispatch_include(before)
    return args[0]


_MADE = (
    "arange", "arange.start", "arange.start_step", "empty.memory_format", "empty_strided", "eye",
    "eye.m", "full", "linspace", "ones", "rand", "randint", "randint.low", "randn", "randperm",
    "scalar_tensor", "zeros",
)  # fmt: skip
_kept: list[torch.library.Library] = []  # its operations go when it goes


def pretend(narrow: bool = False) -> None:
    """Make the devices known to torch, until the process ends.

    Args:
        narrow: they have no float64.
    """
    global _narrow
    _narrow = narrow
    if narrow:
        kinds.WITHOUT_FLOAT64 += ("pretend",)
    _setup_privateuseone_for_python_backend("pretend", backend_module=_Backend())
    library = torch.library.Library("aten", "IMPL")
    for name in _MADE:
        library.impl(name, _made_on_device(name), "PrivateUse1")
    library.impl("_copy_from", _copy_from, "PrivateUse1")
    _kept.append(library)


def _made_on_device(name: str) -> Callable[..., torch.Tensor]:
    packet, _, overload = name.partition(".")
    func = getattr(getattr(aten, packet), overload or "default")

    def make(*args, device=None, **kwargs):
        made = func(*args, device=torch.device("cpu"), **kwargs)
        _check_width(made)
        return Pretend(made, getattr(device, "index", 0) or 0)

    return make


def _copy_from(source, target, non_blocking=False):
    raw_of(target).copy_(raw_of(source))
    return target
