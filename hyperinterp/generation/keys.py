"""Keys and values of what is written: of each prompt read once, then grown in place."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial, reduce
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from hyperinterp.models import HookedModel, Stitch
from hyperinterp.models.positions import growing_tables
from hyperinterp.models.reading import stream_of
from probes.devices import home

Row = tuple[int, ...]

Filled = tuple[Tensor, Tensor] | None
"""Keys and values; None for a block that has none of its own."""

READ_AT_ONCE = 4096
"""Tokens of prompts that are read in one pass."""


def kept_bytes(model: HookedModel) -> int:
    """Return how many bytes the keys and values of one token take under a model."""
    blocks = model.hf.config.get_text_config().per_layer_config
    return 2 * model.dtype.itemsize * sum(_kept_numbers(blocks[it]) for it in range(model.n_layers))


def _kept_numbers(config: Any) -> int:
    """The length of one token's keys in a block, all heads together."""
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    width = config.hidden_size // config.num_attention_heads
    return heads * max(width, getattr(config, "head_dim", None) or 0)


class KeptLayer(DynamicLayer):
    """Keys and values of one block, in memory that is taken once and written in place.

    Every position stays, also in blocks with a window: the masks decide what is seen.

    Args:
        capacity: most positions.
    """

    def __init__(self, capacity: int) -> None:
        super().__init__()
        self._capacity = capacity
        self._whole: tuple[Tensor, ...] = ()
        self._part: tuple[slice, int, int] | None = None

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Write new positions behind those that are there; return all of them, uncopied."""
        new = key_states, value_states
        every = slice(0, key_states.shape[0]), self.get_seq_length(), key_states.shape[0]
        rows, start, count = self._part or every
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            self._whole = tuple(
                item.new_empty(count, *item.shape[1:-2], self._capacity, item.shape[-1])
                for item in new
            )
        end = start + key_states.shape[-2]
        for whole, item in zip(self._whole, new, strict=True):
            whole[rows, ..., start:end, :] = item
        self.keys, self.values = (whole[..., :end, :] for whole in self._whole)
        return self.keys[rows], self.values[rows]

    def take(self, rows: slice, start: int, count: int) -> None:
        """Take the next positions of some rows only.

        Args:
            rows: which.
            start: the first of these positions.
            count: rows of the batch.
        """
        self._part = rows, start, count

    def take_all(self) -> None:
        """Take positions of all rows again."""
        self._part = None


@contextmanager
def in_parts(cache: DynamicCache, count: int) -> Iterator[Callable[[slice], None]]:
    """Let rows of a batch write the same positions one part after the other.

    Args:
        cache: of so many rows as the batch has.
        count: rows of the batch.

    Yields:
        What to call with the rows that write next.
    """
    layers = [(it, it.get_seq_length()) for it in cache.layers if isinstance(it, KeptLayer)]

    def take(rows: slice) -> None:
        for layer, start in layers:
            layer.take(rows, start, count)

    try:
        yield take
    finally:
        for layer, _ in layers:
            layer.take_all()


def empty_cache(capacity: int) -> DynamicCache:
    """Return a cache for so many positions, whose blocks take their memory when they first run."""
    cache = DynamicCache()
    cache.layer_class_to_replicate = partial(KeptLayer, capacity)  # pyright: ignore
    return cache


class PromptKeys:
    """Keys and values of prompts under one model, for all that is written after them.

    A prompt is read up to its last token, which is where writing begins; what was read once is
    kept as long as this object.

    Args:
        model: reads the prompts.
        stitch: the stitched model that reads them, where that is not the model as it is.
    """

    def __init__(self, model: HookedModel, stitch: Stitch | None = None) -> None:
        self.model = model
        self._stitch = stitch
        self._places: dict[int, dict[Row, int]] = {}
        self._read: dict[int, list[Filled]] = {}
        self._under: dict[Stitch, PromptKeys] = {}

    def under(self, stitch: Stitch) -> "PromptKeys":
        """The same under a stitched model that is made of this one."""
        return self._under.setdefault(stitch, PromptKeys(self.model, stitch))

    def cache(
        self,
        rows: Sequence[Row],
        capacity: int,
        stitches: Sequence[tuple[slice, Stitch]] = (),
    ) -> DynamicCache:
        """Return a cache in which all but the last token of every row is read.

        Args:
            rows: token ids, as many in each row.
            capacity: most positions that the cache will hold.
            stitches: the last rows, one part after the other, and who reads them.
        """
        cache = empty_cache(capacity)
        if len(rows[0]) == 1:
            cache.layers.extend(KeptLayer(capacity) for _ in range(self.model.n_layers))
            return cache
        own = stitches[0][0].start if stitches else len(rows)
        parts = [self._of(rows[:own])] if own else []
        parts += [self.under(stitch)._of(rows[part]) for part, stitch in stitches]
        for found in zip(*parts, strict=True):
            layer = KeptLayer(capacity)
            cache.layers.append(layer)
            whole = reduce(_joined, found)
            if whole is not None:
                layer.update(*whole)
        return cache

    def _of(self, rows: Sequence[Row]) -> list[Filled]:
        """The keys and values of all but the last token of every row, by block."""
        begun = [row[:-1] for row in rows]
        length = len(begun[0])
        places = self._places.setdefault(length, {})
        missing = [row for row in dict.fromkeys(begun) if row not in places]
        size = max(1, READ_AT_ONCE // length)
        for start in range(0, len(missing), size):
            self._add(missing[start : start + size])
        picked = torch.tensor([places[row] for row in begun])
        return [_picked(found, picked) for found in self._read[length]]

    @torch.no_grad()
    def run_after(
        self, rows: Sequence[Row], ids: Int[Tensor, "batch position"]
    ) -> Float[Tensor, "batch place d_model"]:
        """Return the final norm's output at each prompt's last token and at what comes after it.

        Args:
            rows: the prompts, of one length.
            ids: what comes after each, of one length.
        """
        model = self.model
        if growing_tables(model.hf):  # what is read at once is turned by its whole length
            return model.run(torch.cat((torch.tensor(rows), ids), 1))[:, len(rows[0]) - 1 :]
        last = torch.tensor([row[-1:] for row in rows])
        cache = self.cache(rows, len(rows[0]) + ids.shape[1])
        output = model.backbone(
            input_ids=torch.cat((last, ids), 1).to(model.device),
            past_key_values=cache,
            use_cache=True,
        )
        return home(stream_of(output if isinstance(output, tuple) else output.last_hidden_state))

    def _add(self, rows: Sequence[Row]) -> None:
        """Read some rows of one length that were not read before."""
        model, length = self.model, len(rows[0])
        model.forget_lengths()
        cache = empty_cache(length)
        with nullcontext() if self._stitch is None else self._stitch.made():
            model.hf(
                input_ids=torch.tensor(rows).to(model.device),
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            )
        new = [_filled(layer) for layer in cache.layers]
        known = self._read.get(length)
        self._read[length] = new if known is None else list(map(_joined, known, new))
        places = self._places[length]
        places |= {row: len(places) + number for number, row in enumerate(rows)}


def _filled(layer: Any) -> Filled:
    return (layer.keys, layer.values) if layer.is_initialized else None


def _picked(found: Filled, rows: Tensor) -> Filled:
    if found is None:
        return None
    return found[0][rows.to(found[0].device)], found[1][rows.to(found[1].device)]


def _joined(first: Filled, second: Filled) -> Filled:
    if first is None or second is None:
        return None
    return torch.cat((first[0], second[0])), torch.cat((first[1], second[1]))
