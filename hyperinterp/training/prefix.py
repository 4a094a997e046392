"""Frozen-prefix cache: the stream that enters the first trained block, once per passage."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from hyperinterp.models import HookedModel, Recording
from hyperinterp.text import TokenRows


class PrefixCache:
    """Residual stream entering block `start` at every token of every row.

    Attributes:
        start: the first block that trains.
        mapped: whether the stream lives in a memory-mapped file.
    """

    def __init__(self, start: int, stream: Tensor, offsets: Sequence[int], mapped: bool) -> None:
        self.start = start
        self.mapped = mapped
        self._stream = stream
        self._offsets = offsets

    @property
    def nbytes(self) -> int:
        """Size of the cached stream in bytes."""
        return self._stream.numel() * self._stream.element_size()

    def batch(self, numbers: Sequence[int], width: int) -> Float[Tensor, "batch position d_model"]:
        """The stream of some rows, zeros on the right where a row is shorter than `width`."""
        found = self._stream.new_zeros(len(numbers), width, self._stream.shape[1])
        for place, number in enumerate(numbers):
            row = self._stream[self._offsets[number] : self._offsets[number + 1]]
            found[place, : len(row)] = row
        return found


def build_prefix(
    model: HookedModel,
    rows: TokenRows,
    start: int,
    *,
    batch_size: int,
    budget_bytes: int,
    folder: Path,
    dtype: torch.dtype | None = None,
    on_rows: Callable[[int], None] | None = None,
) -> PrefixCache:
    """Run the blocks before `start` once over all rows.

    Args:
        model: the model; only blocks 0 to `start - 1` are executed.
        rows: token rows; batches of equal length are formed from them.
        start: the first block that trains.
        batch_size: rows per pass.
        budget_bytes: a larger stream goes to a memory-mapped file in `folder`.
        folder: existing directory for that file.
        dtype: compute dtype under autocast; None computes in the dtype of the weights.
        on_rows: called with the number of rows done so far.
    """
    offsets = [0]
    for row in rows.rows:
        offsets.append(offsets[-1] + len(row))
    stream: Tensor | None = None
    mapped = False
    done = 0
    for numbers, ids in rows.batches(batch_size):
        with torch.autocast(model.device.type, dtype=dtype, enabled=dtype is not None):
            found = model.record(ids, keep=[start], stop_at=start).inputs[start].cpu()
        if stream is None:
            size = offsets[-1] * found.shape[-1]
            mapped = size * found.element_size() > budget_bytes
            stream = _allocate(folder / "prefix.bin", size, found.dtype, mapped)
            stream = stream.view(offsets[-1], found.shape[-1])
        for place, number in enumerate(numbers):
            stream[offsets[number] : offsets[number + 1]] = found[place]
        done += len(numbers)
        if on_rows is not None:
            on_rows(done)
    assert stream is not None  # TokenRows never is empty
    return PrefixCache(start, stream, offsets, mapped)


def _allocate(path: Path, size: int, dtype: torch.dtype, mapped: bool) -> Tensor:
    if not mapped:
        return torch.empty(size, dtype=dtype)
    path.unlink(missing_ok=True)
    return torch.from_file(str(path), shared=True, size=size, dtype=dtype)


def _same(first: Any, second: Any) -> bool:
    if isinstance(first, Tensor) and isinstance(second, Tensor):
        return first.shape == second.shape and bool(torch.equal(first, second))
    if isinstance(first, list | tuple) and isinstance(second, list | tuple):
        return len(first) == len(second) and all(map(_same, first, second))
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(_same(first[k], second[k]) for k in first)
    return type(first) is type(second)


def text_free(model: HookedModel, start: int) -> bool:
    """Return whether what the blocks from `start` on are called with depends on the shape alone.

    False for families that hand the token ids or embeddings to every block: there a recorded
    call cannot stand for another text, and the prefix cache is not used.
    """
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(0, model.vocab_size, (2, 2, 5), generator=generator)
    first, second = (model.record(one, keep=[]) for one in ids)
    return len(first.calls) == model.n_layers and all(
        _same(first.calls[index], second.calls[index]) for index in range(start, model.n_layers)
    )


class Calls:
    """The arguments of each block, recorded once per shape of a batch."""

    LIMIT = 16

    def __init__(self, model: HookedModel) -> None:
        self.model = model
        self._known: dict[tuple[int, ...], Recording] = {}

    def of(self, ids: Int[Tensor, "batch position"]) -> Recording:
        """The recording for batches of this shape; a whole forward pass the first time."""
        shape = tuple(ids.shape)
        if shape not in self._known:
            if len(self._known) >= self.LIMIT:
                self._known.pop(next(iter(self._known)))
            self._known[shape] = self.model.record(ids, keep=[])
        return self._known[shape]
