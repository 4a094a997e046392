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

    Args:
        start: the first block that trains.
        stream: of all rows, one after the other.
        offsets: where each row begins.
        place: where the stream lives: `device`, `memory` or `mapped`.
        given: dtype in which it is handed out; what is kept may be narrower.
    """

    def __init__(
        self, start: int, stream: Tensor, offsets: Sequence[int], place: str, given: torch.dtype
    ) -> None:
        self.start = start
        self.place = place
        self._stream = stream
        self._given = given
        self._offsets = offsets

    @property
    def nbytes(self) -> int:
        """Size of the cached stream in bytes."""
        return self._stream.numel() * self._stream.element_size()

    def batch(self, numbers: Sequence[int], width: int) -> Float[Tensor, "batch position d_model"]:
        """The stream of some rows, zeros on the right where a row is shorter than `width`."""
        shape = len(numbers), width, self._stream.shape[1]
        found = self._stream.new_zeros(shape, dtype=self._given)
        for index, number in enumerate(numbers):
            row = self._stream[self._offsets[number] : self._offsets[number + 1]]
            found[index, : len(row)] = row
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
    device_bytes: int = 0,
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
        dtype: compute dtype under autocast, in which the stream is kept; None computes and keeps it
            in the dtype of the weights.
        device_bytes: a stream of at most so many bytes stays on the model's device.
        on_rows: called with the number of rows done so far.
    """
    offsets = [0]
    for row in rows.rows:
        offsets.append(offsets[-1] + len(row))
    found = kept = torch.empty(0)
    place, done = "", 0
    for numbers, ids in rows.batches(batch_size):
        with torch.autocast(model.device.type, dtype=dtype, enabled=dtype is not None):
            found = model.record(ids, keep=[start], stop_at=start).inputs[start]
        if not place:
            shape, narrow = (offsets[-1], found.shape[-1]), dtype or found.dtype
            size = shape[0] * shape[1] * narrow.itemsize
            place = "mapped" if size > budget_bytes else "memory"
            place = "device" if size <= device_bytes else place
            device = model.device if place == "device" else torch.device("cpu")
            path = folder / "prefix.bin" if place == "mapped" else None
            kept = _allocate(path, shape, narrow, device)
        for index, number in enumerate(numbers):
            kept[offsets[number] : offsets[number + 1]] = found[index]
        done += len(numbers)
        if on_rows is not None:
            on_rows(done)
    return PrefixCache(start, kept, offsets, place, found.dtype)


def _allocate(
    path: Path | None, shape: tuple[int, int], dtype: torch.dtype, device: torch.device
) -> Tensor:
    if path is None:
        return torch.empty(shape, dtype=dtype, device=device)
    path.unlink(missing_ok=True)
    size = shape[0] * shape[1]
    return torch.from_file(str(path), shared=True, size=size, dtype=dtype).view(shape)


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
