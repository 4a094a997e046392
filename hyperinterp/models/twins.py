"""Record two models on the same text; blocks that they have in common at the start run once."""

from collections.abc import Iterable

import torch
from jaxtyping import Int
from torch import Tensor

from hyperinterp.models.hooked import HookedModel
from hyperinterp.models.recording import Recording
from hyperinterp.models.settings import differing_settings, same_function


def shared_start(first: HookedModel, second: HookedModel) -> int:
    """Return how many blocks at the start are the same function in both models.

    Args:
        first: one model.
        second: another of the same class; 0 where their settings or devices differ.
    """
    if first.device != second.device or differing_settings(first, second):
        return 0
    pairs = list(zip(first.blocks, second.blocks, strict=True))
    return next((n for n, pair in enumerate(pairs) if not same_function(*pair)), len(pairs))


@torch.no_grad()
def recorded_together(
    first: HookedModel,
    second: HookedModel,
    ids: Int[Tensor, "batch position"],
    keep: Iterable[int],
    start: int,
) -> tuple[Recording, Recording]:
    """Return what `record` returns of each model, the same to the bit.

    Args:
        first: one model.
        second: the other.
        ids: token ids of equal-length rows.
        keep: as in `HookedModel.record`.
        start: `shared_start` of the two; the second model runs from there on, unless its embedding
            gives another stream.
    """
    wanted = set(keep)
    ours = first.record(ids, wanted | {0, start})
    if start:
        entered = second.record(ids, keep=(), stop_at=0).inputs[0]
        if not torch.equal(entered, ours.inputs[0]):
            start = 0
    if not start:
        return ours, second.record(ids, wanted)
    theirs = Recording(ids, {n: ours.inputs[n] for n in wanted if n <= start}, ours.calls)
    stream = ours.inputs[start]
    for index in range(start, second.n_layers):
        stream = second.replay(theirs, index, stream, stop=index + 1)
        if index + 1 in wanted:
            theirs.inputs[index + 1] = stream
    return ours, theirs
