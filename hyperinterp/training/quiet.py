"""Run Trainer without side effects: no output, no changed random state, faults in one line."""

import logging
import random
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from transformers.utils import logging as hf_logging

from hyperinterp.errors import InputRefused, OutOfResources, memory_ran_out

_LESS_MEMORY = "a smaller batch_size, gradient_checkpointing, dtype bfloat16 or the method lora"


@contextmanager
def quiet_trainer() -> Iterator[None]:
    """Put back the logging levels that Trainer sets, and silence what it warns of by design."""
    level, accelerate = hf_logging.get_verbosity(), logging.getLogger("accelerate").level
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*pin_memory.*", category=UserWarning)
            yield
    finally:
        hf_logging.set_verbosity(level)
        logging.getLogger("accelerate").setLevel(accelerate)


@contextmanager
def own_randomness(seed: int) -> Iterator[None]:
    """Seed Python, numpy and torch inside; give the caller's random state back afterwards."""
    kept, kept_numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    # Named, since without that torch warns on a machine with several devices.
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        try:
            torch.manual_seed(seed)
            yield
        finally:
            random.setstate(kept)
            np.random.set_state(kept_numpy)  # noqa: NPY002


@contextmanager
def deterministic_algorithms(wanted: bool) -> Iterator[None]:
    """Let torch use deterministic algorithms alone inside, where that is wanted."""
    if not wanted:
        yield
        return
    before = torch.get_deterministic_debug_mode()
    chosen_by_speed = torch.backends.cudnn.benchmark
    try:
        torch.set_deterministic_debug_mode("error")
        torch.backends.cudnn.benchmark = False
        yield
    finally:
        torch.set_deterministic_debug_mode(before)
        torch.backends.cudnn.benchmark = chosen_by_speed


@contextmanager
def faults_named(run: Path) -> Iterator[None]:
    """Say what to do after an interruption, when memory runs out, or without a way to repeat.

    Raises:
        InputRefused: an operation has no deterministic algorithm.
        OutOfResources: memory ran out.
        KeyboardInterrupt: with the hint how to resume.
    """
    try:
        yield
    except KeyboardInterrupt as error:
        points = sorted(run.glob("step-*"))
        hint = "resume continues it" if points else "no resume point was due yet"
        raise KeyboardInterrupt(f"{run}: training was interrupted; {hint}") from error
    except (MemoryError, RuntimeError) as error:
        if "does not have a deterministic implementation" in str(error):
            name = str(error).partition(" does not have")[0]
            raise InputRefused(
                "deterministic: expected operations that have a deterministic algorithm, found "
                f"{name}, which has none here; leave deterministic out, or train on the CPU"
            ) from error
        if not memory_ran_out(error):
            raise
        raise OutOfResources(f"training: memory ran out; try {_LESS_MEMORY}") from error
