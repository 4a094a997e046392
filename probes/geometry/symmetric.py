"""Symmetric products made in strips, and the dtype that they are made in."""

import torch
from jaxtyping import Float
from torch import Tensor

from probes.devices import has_float64

_STRIPS, _NARROWEST = 8, 96
"""On a CPU a product is made in at most 8 strips of rows, none but the last under 96 wide."""


def strips(d: int, device: torch.device) -> list[tuple[int, int]]:
    """First and last row of the strips in which a symmetric [d d] is made; all of it off a CPU."""
    step = max(_NARROWEST, -(-d // _STRIPS)) if device.type == "cpu" else d
    return [(start, min(start + step, d)) for start in range(0, d, step)]


def mirrored(upper: Tensor) -> Float[Tensor, "d d"]:
    """The symmetric matrix with this upper triangle; what lies below the diagonal is not read."""
    return upper.triu() + upper.triu(1).T


def working_dtype(rows: torch.dtype, wanted: torch.dtype, device: torch.device) -> torch.dtype:
    """The dtype to multiply rows in: never narrower than the rows, or than float32.

    Where float32 matmuls have been set to run in a reduced precision (TF32, bfloat16), float64.
    """
    if not has_float64(device):
        return torch.float32
    if wanted == torch.float32 and _reduced_float32(device):
        wanted = torch.float64
    return torch.promote_types(rows, wanted)


def _reduced_float32(device: torch.device) -> bool:
    backend = torch.backends.cuda if device.type == "cuda" else torch.backends.mkldnn
    precision: str = getattr(getattr(backend, "matmul", None), "fp32_precision", "ieee")
    return precision not in ("ieee", "none")
