"""Weight surgery on one matrix: what a last MLP writes, in new or old directions, read or not.

Any pretrained model takes it. Directions and sizes come from texts that no comparison reads. What
carries a gain in diversity starts from a base that is settled first: its last MLP writes for one
token everywhere, so that all choices and all diversity of the twin come from the expansion.
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
SAMPLE = 128
"""Positions at which choices are looked at to find how loud is loud enough."""


@dataclass(frozen=True)
class Output:
    """What reaches and leaves the last MLP's output matrix, over many positions.

    Attributes:
        matrix: its weight, `[d inner]`.
        mean: of what reaches it, `[inner]`.
        covariance: of what reaches it, `[inner inner]`.
        old: directions that hold a share of the stream's variance after the block, `[d k]`.
        read: those outside a larger share, the ones that the logits read most first, `[d m]`.
        length: root mean square norm of the stream after the block.
        reaching: what reaches it at a sample of the positions, `[n inner]`.
        stream: what the block writes there, `[n d]`.
        unembedding: rows that read the stream before the final norm, `[v d]`.
    """

    matrix: torch.Tensor
    mean: torch.Tensor
    covariance: torch.Tensor
    old: torch.Tensor
    read: torch.Tensor
    length: float
    reaching: torch.Tensor
    stream: torch.Tensor
    unembedding: torch.Tensor

    @property
    def logits(self) -> torch.Tensor:
        """At the sample, but for a bias and the norm's division, `[n v]`."""
        return self.stream @ self.unembedding.mT


SHARES = (0.9, 0.99)
"""What holds less of the variance is old, what lies outside more is new: C12's 0.95 lies between,
with room for its directions to come from other texts."""


def last_output(model: HookedModel, texts, shares=SHARES) -> Output:
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
    counts = [1 + int((held.cumsum(0) < share * held.sum()).sum()) for share in shares]
    old, rest = vectors[:, : counts[0]], vectors[:, counts[1] :]
    root = before_norm(model, readout_root(model)).cpu()
    order = torch.linalg.eigh(rest.mT @ root @ root.mT @ rest)[1].flip(1)
    gain = before_norm(model, torch.eye(model.d_model, dtype=torch.float64)).cpu()
    head = model.hf.get_submodule(model.anatomy.unembed).get_parameter("weight")
    sample = torch.linspace(0, len(stream) - 1, min(SAMPLE, len(stream))).long()
    return Output(
        matrix=part.weight,
        mean=reaching.mean(0),
        covariance=torch.cov(reaching.mT),
        old=old,
        read=rest @ order,
        length=float(stream.square().sum(1).mean().sqrt()),
        reaching=reaching[sample],
        stream=stream[sample],
        unembedding=head[: model.vocab_size].detach().double() @ gain.mT,
    )


def functions_of(found: Output, count, seed):
    """Random linear functions of what reaches the matrix, without a mean, `[count inner]`."""
    draw = torch.Generator().manual_seed(seed)
    given = torch.randn(count, len(found.mean), generator=draw, dtype=torch.float64)
    return given - (given @ found.mean)[:, None] * found.mean / found.mean.square().sum()


def write(found: Output, directions, functions):
    """Have the matrix also write functions of the context to directions."""
    with torch.no_grad():
        found.matrix.add_((directions @ functions).to(found.matrix))


def steady(found: Output):
    """The function of what reaches the matrix that is nearest to 1 everywhere, `[inner]`."""
    size = len(found.mean)
    ridge = 1e-3 * float(found.covariance.trace()) / size * torch.eye(size, dtype=torch.float64)
    given = torch.linalg.solve(found.covariance + ridge, found.mean)
    return given / (given @ found.mean)


def settle_last(found: Output, sure=0.95, beyond=1.5):
    """Have the matrix write for one token so loudly that it is chosen nearly everywhere.

    The token is that of the model's own choices which its own row tells best from all others. It
    is written `beyond` times as loudly as makes it `sure` of the sampled choices.
    """
    choices = found.logits.argmax(1).unique()
    centred = found.unembedding - found.unembedding.mean(0)
    toward = centred[choices] / centred[choices].norm(dim=1, keepdim=True)
    scores = centred @ toward.mT
    ahead = scores.gather(0, choices[None]).clone() - scores
    ahead[choices, range(len(choices))] = torch.inf
    best = int(ahead.amin(0).argmax())
    token, lead = int(choices[best]), ahead[:, best]
    function = steady(found)
    behind = (found.logits - found.logits[:, token : token + 1]) / lead
    wanted = behind.amax(1) / (found.reaching @ function).clamp_min(1e-3)
    write(found, beyond * wanted.quantile(sure) * toward[best][:, None], function[None])


def widen(found: Output, directions, seed, moved):
    """Write to new directions by context, as loudly as moves a share of the sampled choices.

    The first `READ` hold more than half of the growth, the others are half as loud. The functions
    do not vary together.
    """
    given = functions_of(found, READ + UNREAD, seed)
    values, vectors = torch.linalg.eigh(given @ found.covariance @ given.mT)
    given = (vectors / values.sqrt()) @ vectors.mT @ given
    given[READ:] *= 0.5
    added = found.reaching @ given.mT @ (found.unembedding @ directions).mT
    choice = found.logits.argmax(1, keepdim=True)
    behind = found.logits.gather(1, choice) - found.logits
    gained = added - added.gather(1, choice)
    needed = torch.where(gained > 0, behind / gained, torch.inf).amin(1)
    write(found, needed.quantile(moved) * directions, given)


def turn(found: Output, seed):
    """Turn what the matrix writes within the old directions: none is new."""
    draw = torch.Generator().manual_seed(seed)
    size = found.old.shape[1]
    turned = torch.linalg.qr(torch.randn(size, size, generator=draw, dtype=torch.float64))[0]
    with torch.no_grad():
        old = found.matrix.double()
        inside = found.old.mT @ old
        found.matrix.add_((found.old @ (turned @ inside - inside)).to(found.matrix))


def carried(found, seed):
    """New directions, of which the logits read the loud ones most: they move most choices."""
    widen(found, torch.cat([found.read[:, :READ], found.read[:, -UNREAD:]], 1), seed, moved=0.75)


def turned_and_unread(found, seed):
    """New directions that the logits read least, and that move next to no choice; old ones turn."""
    widen(found, found.read[:, -READ - UNREAD :], seed, moved=0.02)
    turn(found, seed)


OPERATIONS = {
    "carried expansion": carried,
    "invisible expansion": turned_and_unread,
    "reordering": turn,
}
SETTLED = ("carried expansion",)
"""Kinds whose base is settled first."""


def copied(model: HookedModel, name) -> HookedModel:
    """Another model of equal weights."""
    return HookedModel(deepcopy(model.hf), model.tokenizer, name=name, fingerprint="1" * 64)


def settled(base: HookedModel, texts, shares=SHARES) -> HookedModel:
    """A copy of `base` that chooses one token nearly everywhere."""
    made = copied(base, "base: settled")
    settle_last(last_output(made, texts, shares))
    return made


def operated(base: HookedModel, kind: str, texts, seed=0, shares=SHARES) -> HookedModel:
    """A copy of `base` with one kind of surgery; `shares` of variance say what is old, or new."""
    twin = copied(base, f"fitted: {kind}")
    OPERATIONS[kind](last_output(twin, texts, shares), seed)
    return twin
