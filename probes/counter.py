"""Random numbers that are functions of a key and a count, the same on every device."""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
# (torch's own annotations leave these open.)

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float32, Int64
from torch import Tensor

_STEP = 0x9E3779B97F4A7C15
_MIXERS = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))
_PIECE = {"cpu": 1 << 15}  # counts at once: what is made of them stays in a core's cache
_LARGEST_PIECE = 1 << 22


class CounterNormal:
    """Standard normal numbers, each a function of a seed and of its place in the sequence.

    A generator that walks from one number to the next gives other numbers on another device.
    Here the 64-bit counts are mixed (SplitMix64) and turned into pairs of normals (Box and
    Muller), so that a draw is the same on a CPU and on a card, to the rounding of a logarithm and
    a cosine in float32, and costs no transfer.

    Args:
        seed: a whole number of 0 or more, of any size.

    Source: Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators"; Box and
    Muller 1958.

    >>> import torch
    >>> draw = CounterNormal(0).draw((2, 3))
    >>> torch.equal(draw, CounterNormal(0).draw((2, 3)))
    True
    """

    def __init__(self, seed: int) -> None:
        if seed < 0:
            raise ValueError(f"seed: expected a whole number of 0 or more, found {seed}")
        self._key = 0
        while True:  # 64 bits of the seed at a time
            self._key = _mixed_number(self._key ^ (seed % 2**64))
            seed >>= 64
            if not seed:
                break
        self._next = 0

    def draw(
        self, shape: Sequence[int], device: torch.device | str = "cpu"
    ) -> Float32[Tensor, "..."]:
        """Return the next normals of the sequence, in float32.

        Args:
            shape: of what is drawn.
            device: where it is made.
        """
        size = math.prod(shape)
        pairs = -(-size // 2)
        place = torch.device(device)
        piece = _PIECE.get(place.type, _LARGEST_PIECE)
        found = torch.empty(2 * pairs, dtype=torch.float32, device=place)
        for start in range(0, pairs, piece):
            stop = min(start + piece, pairs)
            counts = torch.arange(self._next + start, self._next + stop, device=place)
            state = counts * _signed(_STEP) + _signed(self._key)
            found[2 * start : 2 * stop] = _normals(_mixed(state))
        self._next += pairs
        return found[:size].reshape(tuple(shape))


def _normals(bits: Int64[Tensor, " n"]) -> Float32[Tensor, " m"]:
    """Two normals of each 64 bits, one after the other."""
    high, low = _shifted(bits, 32), bits & 0xFFFFFFFF
    radius = high.float().add_(0.5).mul_(2.0**-32).log_().mul_(-2).clamp_min_(0).sqrt_()
    angle = low.float().mul_(2.0**-31 * math.pi)
    return torch.stack((radius * angle.cos(), radius * angle.sin()), 1).flatten()


def _mixed(state: Int64[Tensor, " n"]) -> Int64[Tensor, " n"]:
    """SplitMix64's output of each state, modulo 2^64 as integers of a tensor wrap."""
    for shift, factor in _MIXERS:
        state = (state ^ _shifted(state, shift)) * _signed(factor)
    return state ^ _shifted(state, 31)


def _shifted(bits: Int64[Tensor, " n"], by: int) -> Int64[Tensor, " n"]:
    """A shift to the right that brings zeros in; that of a tensor repeats the sign."""
    return (bits >> by) & ((1 << (64 - by)) - 1)


def _mixed_number(state: int) -> int:
    """The same of one number, which a tensor has no unsigned type for."""
    state = (state + _STEP) % 2**64
    for shift, factor in _MIXERS:
        state = ((state ^ (state >> shift)) * factor) % 2**64
    return state ^ (state >> 31)


def _signed(number: int) -> int:
    """The 64-bit integer with these bits."""
    return number - 2**64 if number >= 2**63 else number
