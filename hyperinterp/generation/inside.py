"""Rows of a batch for which the model is another one: changed streams, stitched blocks."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import DynamicCache

from hyperinterp.generation.decoding import Decoding
from hyperinterp.generation.keys import in_parts
from hyperinterp.generation.rowwise import Rows, moved, where
from hyperinterp.models import HookedModel, Stitch, edited, replaced


@dataclass(frozen=True)
class Inside:
    """The differences inside a model for some rows of a batch.

    Attributes:
        changes: rows, and what becomes of their stream after the last block.
        stitches: the last rows of the batch, and the stitched models that write them.
    """

    changes: Sequence[tuple[Rows, Callable[[Tensor], Tensor]]] = ()
    stitches: Sequence[tuple[slice, Stitch]] = ()

    def behind(self, count: int) -> "Inside":
        """The same for a batch with so many more rows before these."""
        return Inside(
            [(moved(rows, count), change) for rows, change in self.changes],
            [(slice(it.start + count, it.stop + count), one) for it, one in self.stitches],
        )

    @contextmanager
    def active(self, model: HookedModel, cache: DynamicCache, count: int) -> Iterator[None]:
        """The model so changed, for the time of the context.

        Args:
            model: writes the batch.
            cache: its keys and values.
            count: rows of the batch.
        """
        with ExitStack() as stack:
            if self.stitches and not self.stitches[0][1].by_rows:  # it writes alone
                stack.enter_context(self.stitches[0][1].made())
            else:
                for path, parts in self._parts(model).items():
                    block = _Divided(parts, cache, count, self.stitches[0][1].rows_of_inputs)
                    stack.enter_context(replaced(model, path, block))
            for rows, change in self.changes:
                stack.enter_context(edited(model, model.n_layers - 1, change, rows))
            yield

    def _parts(self, model: HookedModel) -> Mapping[str, list[tuple[slice, nn.Module]]]:
        """By path, each block that runs there and its rows."""
        found: dict[str, list[tuple[slice, nn.Module]]] = {}
        paths = dict.fromkeys(path for _, stitch in self.stitches for path in stitch.by_path)
        for path in paths:
            own = model.hf.get_submodule(path)
            parts = [(slice(0, self.stitches[0][0].start), own)]
            parts += [(rows, stitch.by_path.get(path, own)) for rows, stitch in self.stitches]
            found[path] = _merged(parts)
        return found


def inside_of(decodings: Sequence[Decoding]) -> Inside:
    """Return what the arms of a batch make of the model, arm by arm.

    Args:
        decodings: the arm of every row; those of stitched models come last.
    """
    changed: dict[Decoding, list[int]] = {}
    stitched: dict[Stitch, list[int]] = {}
    for row, arm in enumerate(decodings):
        if arm.change is not None:
            changed.setdefault(arm, []).append(row)
        if arm.stitch is not None:
            stitched.setdefault(arm.stitch, []).append(row)
    return Inside(
        [(where(rows), arm.change) for arm, rows in changed.items() if arm.change is not None],
        [(slice(rows[0], rows[-1] + 1), one) for one, rows in stitched.items()],
    )


class _Divided(nn.Module):
    """Blocks in one place, each of which runs its own rows, over the same keys and values.

    Args:
        parts: rows and their block, one after the other.
        cache: keys and values of all rows.
        count: rows of the batch.
        per_row: rows that an input beside the stream has per row of the batch, by its place.
    """

    def __init__(
        self,
        parts: Sequence[tuple[slice, nn.Module]],
        cache: DynamicCache,
        count: int,
        per_row: Mapping[str, int | None],
    ) -> None:
        super().__init__()
        self._parts, self._cache, self._count = parts, cache, count
        self._per_row = per_row

    def __getattr__(self, name: str) -> Any:
        """Return what a backbone asks of a block, such as the kind of its mask."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(self._parts[0][1], name)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Run every part; take and return what the block does."""
        stream = args[0] if args else kwargs.pop("hidden_states")
        beside = {"args": args[1:], "kwargs": kwargs}
        with in_parts(self._cache, self._count) as take:
            found = []
            for rows, block in self._parts:
                take(rows)
                given = self._cut(beside, rows, "")
                found.append(block(stream[rows], *given["args"], **given["kwargs"]))
        return _joined(found)

    def _cut(self, given: Any, rows: slice, place: str) -> Any:
        """The part of a block's inputs that belongs to some rows of the batch."""
        if isinstance(given, tuple | list):
            return type(given)(
                self._cut(item, rows, f"{place}.{index}") for index, item in enumerate(given)
            )
        if isinstance(given, dict):
            inside = f"{place}." if place else ""
            return {key: self._cut(item, rows, f"{inside}{key}") for key, item in given.items()}
        if not isinstance(given, Tensor) or not given.ndim:
            return given
        known = self._per_row.get(place)
        each = int(given.shape[0] == self._count) if known is None else known
        return given[rows.start * each : rows.stop * each] if each else given


def _merged(parts: Sequence[tuple[slice, nn.Module]]) -> list[tuple[slice, nn.Module]]:
    """Neighbours with the same block as one, none without rows."""
    found: list[tuple[slice, nn.Module]] = []
    for rows, block in parts:
        if rows.start == rows.stop:
            continue
        if found and found[-1][1] is block:
            rows = slice(found.pop()[0].start, rows.stop)
        found.append((rows, block))
    return found


def _joined(found: Sequence[Any]) -> Any:
    """Outputs of the parts as one."""
    first = found[0]
    if isinstance(first, Tensor):
        return torch.cat(list(found))
    if isinstance(first, tuple):
        return tuple(_joined(items) for items in zip(*found, strict=True))
    return first
