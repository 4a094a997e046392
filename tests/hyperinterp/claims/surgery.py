"""Weight surgery on one matrix: what a last MLP writes, in new or old directions, read or not.

The base stays as it is, so any pretrained model takes it. Directions and sizes come from texts that
no comparison reads.
"""

from copy import deepcopy
from dataclasses import dataclass

import torch

from hyperinterp.models import HookedModel
from hyperinterp.runs.visibility import before_norm, readout_root
from hyperinterp.sites import block_outputs

from .planted import writers

READ, UNREAD = 8, 30
"""New directions that the logits read most, and that they read least, half as loud."""


@dataclass(frozen=True)
class Output:
    """What reaches and leaves the last MLP's output matrix, over many positions.

    Attributes:
        matrix: its weight, `[d inner]`.
        mean: of what reaches it, `[inner]`.
        covariance: of what reaches it, `[inner inner]`.
        known: directions that hold `share` of the stream's variance after the block, `[d k]`.
        read: the other directions, those that the logits read most first, `[d d-k]`.
        length: root mean square norm of the stream after the block.
    """

    matrix: torch.Tensor
    mean: torch.Tensor
    covariance: torch.Tensor
    known: torch.Tensor
    read: torch.Tensor
    length: float


def last_output(model: HookedModel, texts, share) -> Output:
    """Measure a model's last MLP and what its block writes; position 0 is left out."""
    part, site = writers(model.blocks[-1])[-1], block_outputs(model.n_layers)[-1]
    inputs, streams = [], []
    hook = part.register_forward_hook(lambda _, given, __: inputs.append(given[0][0, 1:].double()))
    for text in texts:
        ids = torch.tensor([model.tokenizer(text)["input_ids"]])
        streams.append(model.activations(ids, [site])[site][0, 1:].double())
    hook.remove()
    reaching, stream = torch.cat(inputs), torch.cat(streams)
    held, vectors = torch.linalg.eigh(torch.cov(stream.mT))
    held, vectors = held.flip(0), vectors.flip(1)
    count = 1 + int((held.cumsum(0) < share * held.sum()).sum())
    known, rest = vectors[:, :count], vectors[:, count:]
    root = before_norm(model, readout_root(model)).cpu()
    order = torch.linalg.eigh(rest.mT @ root @ root.mT @ rest)[1].flip(1)
    return Output(
        matrix=part.weight,
        mean=reaching.mean(0),
        covariance=torch.cov(reaching.mT),
        known=known,
        read=rest @ order,
        length=float(stream.square().sum(1).mean().sqrt()),
    )


def write_into(found: Output, directions, loudness, seed):
    """Have the matrix also write to directions: random functions of the context."""
    draw = torch.Generator().manual_seed(seed)
    shape = directions.shape[1], len(found.mean)
    given = torch.randn(shape, generator=draw, dtype=torch.float64)
    given -= (given @ found.mean)[:, None] * found.mean / found.mean.square().sum()
    spread = (given @ found.covariance * given).sum(1).sqrt()
    given *= (torch.as_tensor(loudness) * found.length / spread)[:, None]
    with torch.no_grad():
        found.matrix.add_((directions @ given).to(found.matrix))


def widen(found: Output, seed, loudness, read):
    """Write to directions that are new: loud where the logits read, and half as loud elsewhere.

    The loud ones hold half of the growth. Without `read` the logits read all of them least.
    """
    first = found.read[:, :READ] if read else found.read[:, -READ - UNREAD : -UNREAD]
    directions = torch.cat([first, found.read[:, -UNREAD:]], 1)
    write_into(found, directions, loudness * torch.tensor([1.0] * READ + [0.5] * UNREAD), seed)


def turn(found: Output, seed):
    """Turn what the matrix writes within the old directions: none is new."""
    draw = torch.Generator().manual_seed(seed)
    size = found.known.shape[1]
    turned = torch.linalg.qr(torch.randn(size, size, generator=draw, dtype=torch.float64))[0]
    with torch.no_grad():
        old = found.matrix.double()
        inside = found.known.mT @ old
        found.matrix.add_((found.known @ (turned @ inside - inside)).to(found.matrix))


KNOWN = 0.97  # above the share that C12 takes, as its texts are others
LOUDNESS = 0.3
"""Spread along each loud direction, over the length of the stream."""


def carried(found, seed):
    """New directions that the logits read."""
    widen(found, seed, LOUDNESS, read=True)


def turned_and_unread(found, seed):
    """Old directions turned, and new ones that the logits hardly read."""
    turn(found, seed)
    widen(found, seed, LOUDNESS, read=False)


OPERATIONS = {
    "carried expansion": carried,
    "invisible expansion": turned_and_unread,
    "reordering": turn,
}


def operated(base: HookedModel, kind: str, texts, seed=0, share=KNOWN) -> HookedModel:
    """A copy of `base` with one kind of surgery; those that hold `share` of variance are old."""
    twin = HookedModel(
        deepcopy(base.hf), base.tokenizer, name=f"fitted: {kind}", fingerprint="1" * 64
    )
    OPERATIONS[kind](last_output(twin, texts, share), seed)
    return twin
