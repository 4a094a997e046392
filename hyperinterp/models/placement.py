"""One model over several devices: where its modules go, and how their weights are reached."""

import copy
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from accelerate import dispatch_model, infer_auto_device_map
from accelerate.hooks import AlignDevicesHook, add_hook_to_module, remove_hook_from_module
from accelerate.utils import align_module_device, get_balanced_memory, get_max_memory
from torch import Tensor, nn
from transformers import PreTrainedModel

from hyperinterp.errors import InputRefused, OutOfResources, UnsupportedModel
from probes import devices

SPREADS = ("auto", "balanced", "balanced_low_0", "sequential")
"""Ways to fill the devices: evenly, evenly, evenly but the first one less, one after the other."""


def check_wide(device: str | torch.device | int) -> None:
    """Refuse a device without float64 among several: what passes between them is measured there.

    Raises:
        InputRefused: the device has none (mps).
    """
    if str(device).partition(":")[0] in devices.WITHOUT_FLOAT64:
        raise InputRefused(
            f"device map: expected cpu or cuda, found {str(device)!r}, which has no float64; load "
            "the whole model there with --device, or use cpu"
        )


def check_dtype(device: str | torch.device, dtype: torch.dtype) -> None:
    """Refuse weights in float64 on a device that has none.

    Raises:
        InputRefused: names both.
    """
    if dtype == torch.float64 and str(device).partition(":")[0] in devices.WITHOUT_FLOAT64:
        raise InputRefused(
            f"dtype: expected float32, bfloat16 or float16 on {device}, which has no float64, "
            "found float64; choose float32, or the device cpu"
        )


def check_spread(device_map: str | Mapping[str, Any], device: str = "auto") -> None:
    """Refuse a way to fill the devices that does not exist, or one device beside it.

    Raises:
        InputRefused: says what was expected.
    """
    if isinstance(device_map, str) and device_map not in SPREADS:
        raise InputRefused(
            f"device map: expected one of {', '.join(SPREADS)}, found {device_map!r}"
        )
    if device != "auto":
        raise InputRefused(
            f"device: expected auto beside a device map, found {device!r}; leave it out"
        )
    for place in () if isinstance(device_map, str) else device_map.values():
        check_wide(place)


def spread(hf: PreTrainedModel, device_map: str | Mapping[str, Any]) -> None:
    """Put a model that is in the machine's memory onto several devices, no block on two of them.

    What the accelerators have no room for stays in memory and visits the first of them for each
    call. accelerate places it, and moves what passes between the devices.

    Args:
        hf: the model, changed in place.
        device_map: a name of `SPREADS`, or a device per module path as accelerate takes it.

    Raises:
        InputRefused: a map that does not fit the model.
        OutOfResources: accelerators and memory together are too small.
    """
    try:
        found = _inferred(hf, device_map) if isinstance(device_map, str) else dict(device_map)
        if "disk" in map(str, found.values()):
            raise OutOfResources(
                f"{type(hf).__name__}: expected room on the accelerators and in memory, found "
                "weights that would have to lie on the disk; try bfloat16"
            )
        with _quiet_accelerate():
            dispatch_model(hf, found)
    except ValueError as error:
        raise InputRefused(f"device map: {error}; try auto") from error


@contextmanager
def _quiet_accelerate() -> Iterator[None]:
    """Without its notice that some weights wait in memory."""
    log = logging.getLogger("accelerate.big_modeling")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)


def _inferred(hf: PreTrainedModel, way: str) -> dict[str, Any]:
    whole: Any = list(getattr(hf, "_no_split_modules", None) or [])
    known = get_max_memory()
    usable = {place: size for place, size in known.items() if place not in devices.WITHOUT_FLOAT64}
    room: Any = usable if len(usable) < len(known) else None  # given, no room is left for buffers
    if way != "sequential":
        room = get_balanced_memory(
            hf, room, no_split_module_classes=whole, low_zero=way == "balanced_low_0"
        )
    return dict(infer_auto_device_map(hf, max_memory=room, no_split_module_classes=whole))


def check_reachable(hf: PreTrainedModel) -> None:
    """Refuse weights that nothing moves together, or that move to where there is no float64.

    Raises:
        UnsupportedModel: weights on several devices, or on none; names them.
        InputRefused: weights come and go on a device without float64, or are in float64 there.
    """
    places = {(weight.device, weight.dtype) for weight in hf.parameters()}
    for device, dtype in places:
        check_dtype(device, dtype)
    every = devices_of(hf)
    for device in every if len(every) > 1 else ():
        check_wide(device)
    found = sorted({device.type if device.type == "meta" else str(device) for device, _ in places})
    moved = any(hasattr(module, "_hf_hook") for module in hf.modules())
    if not moved and (len(found) > 1 or found == ["meta"]):
        raise UnsupportedModel(
            f"{type(hf).__name__}: expected all weights on one device, or spread by device_map, "
            f"found {', '.join(found)}"
        )


def device_of(module: nn.Module) -> torch.device:
    """Return the device of a module: that of its weights, or where accelerate brings them."""
    for child in module.modules():
        given: Any = getattr(getattr(child, "_hf_hook", None), "execution_device", None)
        if given is not None:
            return torch.device(given)
    return next(module.parameters()).device


def devices_of(module: nn.Module) -> tuple[str, ...]:
    """Every device that a module computes on, in the order of its parts."""
    hooks = (getattr(child, "_hf_hook", None) for child in module.modules())
    found = [getattr(hook, "execution_device", None) for hook in hooks]
    named = [str(torch.device(device)) for device in found if device is not None]
    return tuple(dict.fromkeys(named)) or (str(next(module.parameters()).device),)


def weights_of(module: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by name, those among them that wait in the machine's memory too."""
    found: dict[str, Tensor] = {}
    for path, child in module.named_modules():
        with align_module_device(child):
            own = [*child.named_parameters(recurse=False), *child.named_buffers(recurse=False)]
            found |= {f"{path}.{name}".lstrip("."): tensor.detach() for name, tensor in own}
    return found


def own_copy(module: nn.Module) -> nn.Module:
    """A copy whose weights may be changed, all of them where the module computes."""
    hooks = [child._hf_hook for child in module.modules() if hasattr(child, "_hf_hook")]
    # A hook holds every weight of the model that waits in memory: shared, never copied.
    copied = copy.deepcopy(module, {id(hook): hook for hook in hooks})
    if not hooks:
        return copied
    device = device_of(module)
    remove_hook_from_module(copied, recurse=True)  # leaves the very weights that wait in memory
    return add_hook_to_module(copy.deepcopy(copied).to(device), AlignDevicesHook(device))
