"""What a measurement asks of the device it runs on; all that is peculiar to a card is here."""

import platform
import re
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

_LAUNCH = re.compile("cu(da)?(Graph)?Launch")
COPIED = 1 << 31
"""Bytes of the copy that measures a card's bandwidth; a CPU's is a 64th of it."""


def settle(device: torch.device) -> None:
    """Wait until the device has done all it was told to."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds(device: torch.device, work: Callable[[], object]) -> float:
    """Wall seconds of a piece of work, the device's part of it included."""
    settle(device)
    began = time.perf_counter()
    work()
    settle(device)
    return time.perf_counter() - began


def forget_peak(device: torch.device) -> None:
    """From here on `peak_bytes` counts anew."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_bytes(device: torch.device) -> int | None:
    """Most bytes that tensors took on the card since `forget_peak`; None on a CPU."""
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None


def give_back(device: torch.device) -> None:
    """Hand memory that no tensor uses back to the card."""
    if device.type == "cuda":
        torch.cuda.empty_cache()


def described(device: torch.device) -> dict[str, Any]:
    """The device in words, and its memory in bytes."""
    found: dict[str, Any] = {"device": str(device), "name": platform.machine(), "bytes": None}
    if device.type == "cuda":
        facts = torch.cuda.get_device_properties(device)
        found |= {"name": facts.name, "bytes": facts.total_memory, "cuda": torch.version.cuda}
    return found


def bandwidth(device: torch.device, rounds: int = 5) -> float:
    """Bytes per second of a large copy on the device, read and written bytes both counted."""
    size = COPIED if device.type == "cuda" else COPIED >> 6
    source = torch.zeros(size, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    target.copy_(source)
    times = [seconds(device, lambda: target.copy_(source)) for _ in range(rounds)]
    return 2 * size / statistics.median(times)


def launches(device: torch.device, work: Callable[[], object]) -> dict[str, int]:
    """What a piece of work runs: kernels, and the calls that launch them; operators on a CPU.

    A graph of many kernels is one call.
    """
    card = device.type == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if card else [])]
    with profile(activities=activities) as found:
        work()
        settle(device)
    events = found.key_averages()
    if not card:
        return {"operators": sum(event.count for event in events)}
    return {
        "kernels": sum(event.count for event in events if event.device_type == DeviceType.CUDA),
        "calls": sum(event.count for event in events if _LAUNCH.match(event.key)),
    }
