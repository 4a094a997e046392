"""Finer causes of the change, without a verdict."""

from collections.abc import Sequence

import torch

from hyperinterp.errors import HyperinterpError
from hyperinterp.looks.causes.components import attributed
from hyperinterp.looks.causes.heads import head_patches
from hyperinterp.looks.causes.reading import Batch, batches
from hyperinterp.looks.causes.result import CausesResult, HeadPatch
from hyperinterp.looks.causes.search import Found, greedy
from hyperinterp.looks.causes.shifts import static_shifts
from hyperinterp.models import blocks, patched, same_function
from hyperinterp.under_comparison import Study

ENOUGH = 0.5
"""Share of KL(fitted || base) that a sufficient set of blocks recovers."""


def measure(study: Study) -> CausesResult:
    """Look for the parts that write the change.

    Args:
        study: the pair, its passages and sizes.
    """
    every = list(batches(study))
    overridden = sum(int(batch.over.sum()) for batch in every)
    why: dict[str, str] = {}
    heads: tuple[HeadPatch, ...] = ()
    try:
        heads = head_patches(study, every)
    except HyperinterpError as error:
        why["heads"] = " ".join(str(error).split())
    components, whole = attributed(study, every)
    found = smallest(study, every)
    if not overridden:
        why["components"] = why["heads"] = "the models choose alike everywhere"
    elif not heads and "heads" not in why:
        why["heads"] = "the logits of the choices do not differ"
    if not found.items:
        why["blocks"] = "the models predict alike, or no block of theirs differs"
    return CausesResult(
        contexts=sum(len(batch.row) for batch in every),
        overridden=overridden,
        shifts=static_shifts(study, every),
        components=components,
        whole=whole,
        heads=heads,
        blocks=found.items,
        shares=found.shares,
        enough=ENOUGH,
        searched=found.tried,
        why=why,
    )


def differing_blocks(study: Study) -> list[int]:
    """Return the blocks whose function differs between the two models.

    Args:
        study: the pair.
    """
    pairs = zip(study.base.blocks, study.fitted.blocks, strict=True)
    return [layer for layer, pair in enumerate(pairs) if not same_function(*pair)]


def recovered(study: Study, every: Sequence[Batch], chosen: tuple[int, ...]) -> float:
    """Return the share of KL(fitted || base) that the fitted model's blocks in the base recover.

    Args:
        study: the pair.
        every: both models on the passages.
        chosen: indices of the blocks, in rising order.
    """
    model, left, whole = study.base, 0.0, 0.0
    for batch in every:
        recording = batch.recordings["base"]
        whole += float(batch.read(model, recording.inputs[model.n_layers])[0].sum())
        with patched(model, study.fitted, blocks(chosen)), torch.no_grad():
            stream = model.replay(recording, chosen[0])
        left += float(batch.read(model, stream)[0].sum())
    return 1 - left / whole if whole > 0 else 0.0


def smallest(study: Study, every: Sequence[Batch]) -> Found:
    """Return the fewest blocks that greedy search finds; none where the models predict alike.

    Args:
        study: the pair.
        every: both models on the passages.
    """
    items = differing_blocks(study)
    end = study.base.n_layers
    apart = sum(
        float(batch.read(study.base, batch.recordings["base"].inputs[end])[0].sum())
        for batch in every
    )
    if apart <= 0:
        return Found((), (), 0)
    tick = study.run.log.ticker("sets of blocks are patched", max(1, len(items)))

    def share(chosen: tuple[int, ...]) -> float:
        if len(chosen) == 1:
            tick(1)
        return recovered(study, every, chosen)

    return greedy(share, items, ENOUGH)
