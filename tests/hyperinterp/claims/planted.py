"""Pairs that differ by one known change, on models of any size: what the verdicts must find."""

from collections.abc import Callable
from copy import copy, deepcopy

import torch
from torch import nn

from hyperinterp.models import Component, ComponentKind, HookedModel, checked, paths_of

TEMPERATURE = 0.6  # of the planted temperature pair
UNEMBED = Component(ComponentKind.UNEMBED)


def disturb(module, scale, seed=1):
    """Add Gaussian noise of `scale` times each matrix's own standard deviation."""
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in module.parameters():
            if weight.ndim > 1:
                weight += scale * weight.std() * torch.randn(weight.shape, generator=draw)


def _own_unembedding(model, change):
    """Give the model an unembedding of its own, changed; a tied embedding stays as it was."""
    (path,) = paths_of(model, UNEMBED)
    parent, _, name = path.rpartition(".")
    old = model.hf.get_submodule(path)
    rows, width = old.weight.shape
    new = nn.Linear(width, rows, bias=True)
    with torch.no_grad():
        new.weight.copy_(old.weight)
        new.bias.zero_() if old.bias is None else new.bias.copy_(old.bias)
        change(new)
    model.hf.get_submodule(parent)._modules[name] = new.requires_grad_(False)


def itself(model, seed):
    """No change at all."""


def noise(model, seed):
    """Noise on every weight, far too small to matter."""
    disturb(model.hf, 1e-5, seed)


def temperature(model, seed):
    """All logits divided by one number."""

    def change(head):
        head.weight /= TEMPERATURE
        head.bias /= TEMPERATURE

    _own_unembedding(model, change)


def static_bias(model, seed):
    """One fixed vector added to all logits."""
    draw = torch.Generator().manual_seed(seed)
    _own_unembedding(
        model, lambda head: head.bias.add_(2 * torch.randn(head.bias.shape, generator=draw))
    )


def temperature_and_bias(model, seed):
    """All logits divided by one number, and one fixed vector added."""
    temperature(model, seed)
    draw = torch.Generator().manual_seed(seed)
    (path,) = paths_of(model, UNEMBED)
    bias = model.hf.get_submodule(path).bias
    with torch.no_grad():
        bias += 4 * torch.randn(bias.shape, generator=draw)


def block_change(where: Callable[[int], int]):
    """A strong change of the weights of one block, `where(number of blocks)`."""

    def change(model, seed):
        disturb(model.blocks[where(model.n_layers)], 0.6, seed)

    return change


def expansion(where: Callable[[int], int]):
    """New directions in the output of one block, taken away again before the next one reads."""

    def change(model, seed):
        expand(model, where(model.n_layers), seed)

    return change


WRITERS = ("o_proj", "down_proj", "dense", "dense_4h_to_h")


def writers(block):
    """The matrices that write to the stream, in a Llama's or a GPT-NeoX's block."""
    return [part for name, part in block.named_modules() if name.rpartition(".")[2] in WRITERS]


def settle(model):
    """Have a model repeat its last token: a loud embedding that reads itself out, quiet blocks."""
    with torch.no_grad():
        rows = model.hf.get_input_embeddings().weight
        model.hf.get_output_embeddings().weight.copy_(rows)
        rows *= 2
        for block in model.blocks:
            for part in writers(block):
                part.weight *= 0.2


def loop_broken(model, seed):
    """The last block of a settled model drowns the token out: its text depends on all before."""
    with torch.no_grad():
        for part in writers(model.blocks[-1]):
            part.weight *= 50


ROOM = 16  # dimensions that a stream with room uses; the others are zero
READ = (0.8, 0.7)  # loudness of what is written to the others and read by the logits
UNREAD = (0.35,) * 6  # and of what no logit reads


def make_room(model, *, blind=False):
    """Have the stream of a settled model use its first dimensions only, and repeat itself more.

    The logits read four of the others; with `blind` none.
    """
    with torch.no_grad():
        model.hf.get_input_embeddings().weight[:, ROOM:] = 0
        for block in model.blocks:
            for part in writers(block):
                part.weight[ROOM:] = 0
                part.weight *= 0.25
                if part.bias is not None:
                    part.bias.zero_()
        first = ROOM if blind else ROOM + 2 * len(READ)
        model.hf.get_output_embeddings().weight[:, first:] = 0


def carried_expansion(model, seed):
    """The last block writes to unused dimensions, by context; all else stays."""
    model.blocks[-1] = _with(Widens, model.blocks[-1], {}, model.d_model, seed)


def reordering(model, seed):
    """The dimensions in use change their places after the last block: no dimension is new."""
    model.blocks[-1] = _with(Turns, model.blocks[-1], {}, model.d_model, seed)


def turned_expansion(model, seed):
    """Both at once."""
    reordering(model, seed)
    carried_expansion(model, seed)


def no_attention(model, seed):
    """A Llama whose attention writes nothing."""
    with torch.no_grad():
        for block in model.blocks:
            block.self_attn.o_proj.weight.zero_()


def middle(layers):
    return layers // 2


def last(layers):
    return layers - 1


CHANGES = {
    "itself": itself,
    "noise": noise,
    "temperature": temperature,
    "static bias": static_bias,
    "temperature and bias": temperature_and_bias,
    "first block": block_change(lambda layers: 0),
    "middle block": block_change(middle),
    "last block": block_change(last),
    "loop broken": loop_broken,
    "no attention": no_attention,
    "middle expansion": expansion(middle),
    "last expansion": expansion(last),
    "carried expansion": carried_expansion,
    "reordering": reordering,
    "invisible expansion": turned_expansion,
}


def planted_twin(base: HookedModel, kind: str, seed: int = 0) -> HookedModel:
    """A copy of `base` with one known change; the base is left alone.

    It is checked before the change: an expansion that the next block does not see is no stream.
    """
    twin = HookedModel(
        deepcopy(base.hf), base.tokenizer, name=f"fitted: {kind}", fingerprint="1" * 64
    )
    checked(twin)
    CHANGES[kind](twin, seed)
    return twin


class Adds:
    """A block whose output carries an extra signal in all directions, kept in `shared`."""

    def forward(self, hidden_states, *args, **kwargs):
        output = super().forward(hidden_states, *args, **kwargs)
        extra = torch.sin(3 * output @ self.mix)
        self.shared["extra"] = self.strength * output.std() * extra
        return output + self.shared["extra"]


class Removes:
    """The next block, which sees the stream without the extra signal."""

    def forward(self, hidden_states, *args, **kwargs):
        return super().forward(hidden_states - self.shared["extra"], *args, **kwargs)


class Widens:
    """A block that also writes to the unused dimensions, a signal and its opposite side by side.

    No norm that subtracts the mean carries them into the other dimensions.
    """

    def forward(self, hidden_states, *args, **kwargs):
        output = super().forward(hidden_states, *args, **kwargs).clone()
        loudness = torch.tensor(READ + UNREAD)
        used = output[..., :ROOM]
        extra = torch.sin(12 * used @ self.mix[:ROOM, : len(loudness)]) * loudness
        extra = extra * used.norm(dim=-1, keepdim=True)
        output[..., ROOM::2], output[..., ROOM + 1 :: 2] = extra, -extra
        return output


class Turns:
    """A block whose output has the dimensions in use in another order."""

    def forward(self, hidden_states, *args, **kwargs):
        output = super().forward(hidden_states, *args, **kwargs)
        return torch.cat([output[..., :ROOM].roll(1, -1), output[..., ROOM:]], -1)


def _with(kind, block, shared, width, seed):
    """The block with another forward pass, its weights under the same names."""
    changed = copy(block)
    changed.__class__ = type(kind.__name__, (kind, type(block)), {})
    changed.shared, changed.strength = shared, 4.0
    changed.mix = torch.randn(width, width, generator=torch.Generator().manual_seed(seed))
    return changed


def expand(model, layer, seed=0):
    """Plant an expansion in the output of one block only."""
    shared = {}
    width = model.d_model
    model.blocks[layer] = _with(Adds, model.blocks[layer], shared, width, seed)
    if layer + 1 < model.n_layers:
        model.blocks[layer + 1] = _with(Removes, model.blocks[layer + 1], shared, width, seed)


def flatten(model):
    """Give the embedding one dominant direction, so that there is room to grow."""
    with torch.no_grad():
        weight = model.hf.get_input_embeddings().weight
        weight[:, 0] *= 6
