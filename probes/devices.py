"""Devices that have no float64, and the way from there to where it is."""

import torch
from torch import Tensor

WITHOUT_FLOAT64 = ("mps",)
"""Types of devices that hold no float64 numbers."""


def has_float64(device: torch.device | str) -> bool:
    """Return whether a device holds float64 numbers.

    Args:
        device: the device, or its name.
    """
    return torch.device(device).type not in WITHOUT_FLOAT64


def home(x: Tensor) -> Tensor:
    """Return a tensor where float64 is: as it is, or on the CPU where its device has none.

    Args:
        x: any tensor.
    """
    return x if has_float64(x.device) else x.cpu()
