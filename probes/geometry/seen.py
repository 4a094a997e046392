"""A set of seen ids, a byte each."""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
# (torch's own annotations leave these open.)

import torch
from jaxtyping import UInt8
from torch import Tensor


def mark(seen: bytearray, number: int) -> None:
    """Mark an id in place; `seen` grows by half its length where it is too short."""
    if number >= len(seen):
        seen.extend(bytes(max(number + 1, len(seen) * 3 // 2) - len(seen)))
    seen[number] = 1


def marks(seen: bytearray, length: int | None = None) -> UInt8[Tensor, " ids"]:
    """1 for every id that was seen, up to the last of them or to `length`."""
    found = seen.rstrip(b"\0")  # a copy: a buffer that a tensor looks at cannot grow
    if length is not None:
        found = found.ljust(length, b"\0")
    return torch.frombuffer(found or bytearray(1), dtype=torch.uint8)
