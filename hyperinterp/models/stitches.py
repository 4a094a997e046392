"""Stitched models: one model with whole blocks of another, for a whole batch or for some rows."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from hyperinterp.models.components import blocks, paths_of
from hyperinterp.models.hooked import HookedModel
from hyperinterp.models.settings import differing_settings
from hyperinterp.models.surgery import patched


@dataclass(frozen=True, eq=False)
class Stitch:
    """A model with blocks of another, before it is made.

    Attributes:
        recipient: the model.
        donor: the one whose blocks are put in.
        layers: their indices.
    """

    recipient: HookedModel
    donor: HookedModel
    layers: tuple[int, ...]

    def __post_init__(self) -> None:
        _ = self.by_path  # as the blocks are now: later the donor may be a stitched model itself

    @contextmanager
    def made(self) -> Iterator[HookedModel]:
        """Yield the recipient with the donor's blocks, for the time of the context."""
        with patched(self.recipient, self.donor, blocks(self.layers)) as model:
            yield model

    @cached_property
    def by_path(self) -> dict[str, nn.Module]:
        """The donor's blocks by their paths in the recipient."""
        paths = [path for one in blocks(self.layers) for path in paths_of(self.recipient, one)]
        return {path: self.donor.hf.get_submodule(path) for path in paths}

    @cached_property
    def by_rows(self) -> bool:
        """True where some rows of a batch can run the donor's blocks, and others the recipient's.

        That is so where both models give their blocks the same inputs beside the stream, these
        can be told apart by row, and every block keeps keys and values of its own.
        """
        shared = getattr(self.recipient.hf.config.get_text_config(), "num_kv_shared_layers", 0)
        if shared or differing_settings(self.recipient, self.donor):
            return False
        return None not in self.rows_of_inputs.values()

    @cached_property
    def rows_of_inputs(self) -> Mapping[str, int | None]:
        """Rows that each input of a block beside the stream has per row of the batch, by its place.

        0 where all rows share it, None where it follows the batch in another way. Cost: the start
        of two passes over a few tokens.
        """
        counts = 2, 3
        tensors = [_inputs(self.recipient, rows) for rows in counts]
        return {
            place: _per_row([found[place].shape for found in tensors], counts)
            for place in tensors[0].keys() & tensors[1].keys()
        }


def by_place(given: Any, place: str = "") -> dict[str, Tensor]:
    """Return the tensors in a block's inputs by their places, such as `kwargs.position_ids`."""
    if isinstance(given, Tensor):
        return {place: given} if given.ndim else {}
    items: Any = ()
    if isinstance(given, tuple | list):
        items = enumerate(given)
    elif isinstance(given, dict):
        items = given.items()
    return {
        name: tensor
        for key, item in items
        for name, tensor in by_place(item, f"{place}.{key}" if place else str(key)).items()
    }


def _inputs(model: HookedModel, rows: int) -> dict[str, Tensor]:
    call = model.record(torch.zeros((rows, 2), dtype=torch.long), keep=(), stop_at=0).calls[0]
    return by_place({"args": call.args, "kwargs": call.kwargs})


def _per_row(shapes: list[torch.Size], counts: tuple[int, int]) -> int | None:
    first, second = (shape[0] for shape in shapes)
    if first == second:
        return 0
    if first % counts[0] == 0 and first * counts[1] == second * counts[0]:
        return first // counts[0]
    return None
