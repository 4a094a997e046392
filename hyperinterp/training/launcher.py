"""Processes that a launcher started, each of which trains on its own."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_LAUNCHER = (
    "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "GROUP_RANK", "MASTER_ADDR",
    "MASTER_PORT",
)  # fmt: skip


@contextmanager
def alone(world: int) -> Iterator[None]:
    """Hide the launcher from Trainer: the processes of a sweep do not talk to each other."""
    kept = {name: os.environ[name] for name in _LAUNCHER if name in os.environ}
    if world > 1:
        given = os.environ.get("CUDA_VISIBLE_DEVICES")
        devices = given.split(",") if given else list(map(str, range(torch.cuda.device_count())))
        if len(devices) > 1:
            local = int(kept.get("LOCAL_RANK", "0"))
            os.environ["CUDA_VISIBLE_DEVICES"] = devices[local % len(devices)]
    try:
        for name in kept:
            del os.environ[name]
        yield
    finally:
        os.environ.update(kept)
