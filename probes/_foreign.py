"""Taking in tensors and arrays that someone else made.

Private to `probes`. Every public function calls one of these first, so that a wrong shape, an
empty input or a NaN is refused with the name of the argument, what was expected and what was found.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from probes.devices import home

Array = Tensor | np.ndarray
"""A torch tensor or a numpy array, as the caller has it."""

Ids = Tensor | np.ndarray | Sequence[int]
"""Token ids: an integer tensor or array, or a plain sequence of ints."""


def _tensor(x: Any, name: str) -> Tensor:
    if isinstance(x, np.ndarray):
        kind = x.dtype.kind
        if kind not in "fiu" or x.dtype == np.longdouble:
            raise ValueError(f"{name}: expected a real numeric array, found dtype {x.dtype}")
        native = x.dtype.newbyteorder("=")
        x = torch.from_numpy(np.require(x, dtype=native, requirements=["C", "W"]))
    if not isinstance(x, Tensor):
        raise ValueError(
            f"{name}: expected a tensor or a numpy array, found {type(x).__name__}{_hint(x)}"
        )
    if x.layout != torch.strided or x.is_meta or x.is_quantized:
        raise ValueError(f"{name}: expected a dense tensor, found {x.layout} on {x.device}")
    return x.detach()


def _hint(x: Any) -> str:
    """Return a hint at what to pass instead of a container or a proxy that holds tensors."""
    if isinstance(x, list | tuple) and x and isinstance(x[0], Tensor | np.ndarray):
        return f" of {len(x)}; pass one of them, e.g. {type(x).__name__}[-1]"
    if isinstance(getattr(x, "value", None), Tensor):
        return "; pass its .value, which is a tensor"
    return ""


def real(x: Array, name: str, *, ndim: int | None = None, axes: str = "[... v]") -> Tensor:
    """The floating-point tensor behind `x`: dense, not empty, of at least one axis.

    Whether its entries are finite is checked by `widen` and `check_finite`, chunk by chunk.
    """
    tensor = _tensor(x, name)
    if not tensor.is_floating_point():
        raise ValueError(f"{name}: expected a floating dtype, found {tensor.dtype}")
    if tensor.ndim == 0 or (ndim is not None and tensor.ndim != ndim):
        raise ValueError(f"{name}: expected shape {axes}, found {list(tensor.shape)}")
    if tensor.numel() == 0:
        raise ValueError(f"{name}: expected at least one entry, found shape {list(tensor.shape)}")
    return tensor


def integers(x: Ids, name: str) -> Tensor:
    """The int64 tensor behind `x` (token ids, ranks, counts)."""
    if not isinstance(x, Tensor | np.ndarray):
        x = np.asarray(x) if len(x) else np.zeros(0, dtype=np.int64)
    tensor = _tensor(x, name)
    if tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool:
        raise ValueError(f"{name}: expected integers, found dtype {tensor.dtype}")
    return tensor.to(torch.int64)


def id_list(ids: Ids, name: str = "ids") -> list[int]:
    """One sequence of token ids as a list of non-negative ints (possibly empty)."""
    tensor = integers(ids, name)
    if tensor.ndim != 1:
        raise ValueError(f"{name}: expected one sequence [n], found shape {list(tensor.shape)}")
    out = [int(i) for i in tensor.tolist()]
    if out and min(out) < 0:
        raise ValueError(f"{name}: expected token ids of 0 or more, found {min(out)}")
    return out


def check_finite(x: Tensor, name: str) -> None:
    """Refuse NaN and infinities: either stays in a sum, which is the fastest pass there is."""
    if bool(torch.isfinite(x.sum())):
        return
    low, high = torch.aminmax(x)  # a sum of finite entries may overflow
    if not (bool(torch.isfinite(low)) and bool(torch.isfinite(high))):
        raise ValueError(f"{name}: expected finite entries, found NaN or infinity")


def widen(x: Tensor, name: str) -> Tensor:
    """`x` in float64, checked to be finite; on the CPU where the device has no float64.

    May be `x` itself: never write to the result in place.
    """
    check_finite(x, name)
    return home(x).to(torch.float64)


def same_shape(a: Tensor, b: Tensor, name_a: str, name_b: str) -> None:
    """Refuse a pair of tensors whose shapes or devices differ."""
    if a.shape != b.shape:
        raise ValueError(
            f"{name_b}: expected the shape of {name_a}, {list(a.shape)}, found {list(b.shape)}"
        )
    if a.device != b.device:
        raise ValueError(f"{name_b}: expected the device of {name_a}, {a.device}, not {b.device}")


def token_column(tokens: Ids | int, logits: Tensor, name: str) -> Tensor:
    """Token ids [...] that go with logits [... v], flattened to [n 1] on the logits' device."""
    lead = logits.shape[:-1]
    ids = torch.tensor(tokens) if isinstance(tokens, int) else integers(tokens, name)
    if ids.shape != lead:
        raise ValueError(f"{name}: expected shape {list(lead)}, found {list(ids.shape)}")
    check_ids(ids, logits.shape[-1], name)
    return ids.to(logits.device).reshape(-1, 1)


def check_ids(ids: Tensor, vocabulary: int, name: str) -> None:
    """Refuse token ids outside [0, vocabulary)."""
    low, high = int(ids.min()), int(ids.max())
    if low < 0 or high >= vocabulary:
        raise ValueError(
            f"{name}: expected token ids in [0, {vocabulary}), found {low if low < 0 else high}"
        )


def values(x: float | Array, name: str) -> Tensor:
    """A number, or a tensor or array of numbers of any shape, in float64 on the CPU."""
    tensor = torch.tensor(float(x)) if isinstance(x, int | float) else _tensor(x, name)
    if tensor.numel() == 0 or tensor.is_complex():
        raise ValueError(
            f"{name}: expected real numbers, found {tensor.dtype} {list(tensor.shape)}"
        )
    wide = tensor.cpu().to(torch.float64)
    check_finite(wide, name)
    return wide
