"""Blocks of a training step, compiled by torch one at a time."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from hyperinterp.errors import InputRefused


def check_compiler(device: torch.device) -> None:
    """Compile a sum, so that a missing compiler is told before any work.

    Raises:
        InputRefused: torch cannot compile on this device.
    """
    with _compiling("a sum"):
        torch.compile(torch.add, dynamic=True)(*torch.ones(2, 2, device=device))


class CompiledBlocks:
    """Forward passes of blocks as torch compiles them, each at its first use.

    Blocks of equal code share what is compiled, and batches of other shapes too. Where blocks
    differ in more ways than torch compiles (eight), the rest run as they are.
    """

    def __init__(self) -> None:
        self._made: dict[nn.Module, Callable[..., Any]] = {}

    def of(self, block: nn.Module) -> Callable[..., Any]:
        """The compiled forward pass of a block, without the hooks on the block itself.

        Raises:
            InputRefused: when called, if torch cannot compile the block.
        """
        if block not in self._made:
            self._made[block] = _compiled(block)
        return self._made[block]


def _compiled(block: nn.Module) -> Callable[..., Any]:
    run = torch.compile(block.forward, dynamic=True)

    def forward(*args: Any, **kwargs: Any) -> Any:
        with _compiling(type(block).__name__):
            return run(*args, **kwargs)

    return forward


@contextmanager
def _compiling(what: str) -> Iterator[None]:
    from torch._dynamo.exc import TorchDynamoException  # a second to import

    try:
        with warnings.catch_warnings():  # torch looks for a gradient where none can be
            warnings.filterwarnings("ignore", "The .grad attribute of a Tensor that is not a leaf")
            yield
    except TorchDynamoException as fault:
        cause = getattr(fault, "inner_exception", fault)
        told = (str(cause).strip() or type(cause).__name__).splitlines()[0]
        raise InputRefused(
            f"compile: expected that torch compiles {what}, found {told!r}; install a C++ compiler "
            "where one is missing, or leave compile out"
        ) from fault
