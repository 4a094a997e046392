"""Heads and MLPs of the last blocks: attribution patching, and exact patching of the top ones.

The base reads; what is put in its place is the fitted model's output of a head or an MLP on the
same text. The measure is the logit of the fitted model's choice minus that of the base's, at the
decisions where the two differ.

Source: attribution patching, Nanda 2023; its errors and remedies, Kramar et al. 2024,
arXiv:2403.00745.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from hyperinterp.looks.causes.reading import Batch
from hyperinterp.looks.causes.result import HeadPatch
from hyperinterp.models import HookedModel, head_count, output_map
from hyperinterp.under_comparison import Study

LAST = 5
"""Last blocks whose heads and MLPs are looked at."""
TOP = 6
"""Of these, so many with the largest estimates are patched."""


@dataclass(frozen=True)
class Target:
    """A head (`head` is its number) or an MLP (None) of one block."""

    layer: int
    head: int | None

    @property
    def label(self) -> str:
        """Words for people."""
        return f"MLP {self.layer}" if self.head is None else f"head {self.layer}.{self.head}"


def head_patches(study: Study, every: Sequence[Batch]) -> tuple[HeadPatch, ...]:
    """Return estimates of every head and MLP of the last blocks, and the top ones patched.

    Args:
        study: the pair.
        every: both models on the passages.

    Raises:
        UnsupportedModel: heads of a family that cannot be told apart.
    """
    base, fitted = study.base, study.fitted
    first = max(0, base.n_layers - LAST)
    heads = head_count(base)
    targets = [
        Target(layer, head)
        for layer in range(first, base.n_layers)
        for head in (*range(heads), None)
    ]
    totals = dict.fromkeys(targets, 0.0)
    kept = [batch for batch in every if bool(batch.over.any())]
    if not kept:
        return ()
    outputs = [_outputs(fitted, batch, first) for batch in kept]
    before = whole = 0.0
    for batch, theirs in zip(kept, outputs, strict=True):
        ours, slopes, difference = _slopes(base, batch, first)
        before += difference
        with torch.no_grad():
            end = batch.recordings["fitted"].inputs[fitted.n_layers]
            whole += float(_logits(fitted, batch, end).sum())
        for target in targets:
            key = (target.layer, target.head is None)
            step = slopes[key] * (theirs[key] - ours[key])
            totals[target] += float(_own(step, target, heads).sum())
    gap = whole - before
    if abs(gap) < 1e-12:
        return ()
    order = sorted(targets, key=lambda target: -abs(totals[target]))
    exact: dict[Target, float] = {}
    for target in order[:TOP]:
        after = sum(
            _patched(base, batch, theirs, target, first, heads)
            for batch, theirs in zip(kept, outputs, strict=True)
        )
        exact[target] = (after - before) / gap
    return tuple(
        HeadPatch(target.label, target.layer, totals[target] / gap, exact.get(target))
        for target in order
    )


def _own(rows: Tensor, target: Target, heads: int) -> Tensor:
    """The columns of one head; all of an MLP."""
    if target.head is None:
        return rows
    width = rows.shape[-1] // heads
    return rows[..., target.head * width : (target.head + 1) * width]


def _places(model: HookedModel, layer: int) -> Iterator[tuple[bool, nn.Module]]:
    """The map of the heads, and the module whose output is the MLP's."""
    yield False, output_map(model, layer)
    yield True, model.blocks[layer].get_submodule(model.anatomy.block.mlp)


@contextmanager
def _seen(model: HookedModel, first: int, keep: dict[tuple[int, bool], Tensor]) -> Iterator[None]:
    """Keep the inputs of the maps of heads and the outputs of MLPs, with their gradients."""
    handles = []

    def kept(key: tuple[int, bool], tensor: Tensor) -> None:
        if tensor.requires_grad:
            tensor.retain_grad()
        keep[key] = tensor

    def after(key: tuple[int, bool], _module: nn.Module, _given: Any, out: Any) -> None:
        kept(key, out if isinstance(out, Tensor) else out[0])

    def before(key: tuple[int, bool], _module: nn.Module, given: Any) -> None:
        kept(key, given[0])

    for layer in range(first, model.n_layers):
        for is_mlp, module in _places(model, layer):
            key = (layer, is_mlp)
            if is_mlp:
                hook = module.register_forward_hook(partial(after, key))
            else:
                hook = module.register_forward_pre_hook(partial(before, key))
            handles.append(hook)
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _outputs(model: HookedModel, batch: Batch, first: int) -> dict[tuple[int, bool], Tensor]:
    """Outputs of heads and MLPs of the last blocks on the text."""
    found: dict[tuple[int, bool], Tensor] = {}
    with _seen(model, first, found):
        model.replay(batch.recordings["fitted"], first)
    return {key: tensor.detach() for key, tensor in found.items()}


def _run(model: HookedModel, batch: Batch, first: int, stream: Tensor) -> Tensor:
    """Blocks from `first` on, with gradients where they are on."""
    calls, stream = batch.recordings["base"].calls, model.entering(stream)
    for index in range(first, model.n_layers):
        output = model.blocks[index](stream, *calls[index].args, **calls[index].kwargs)
        stream = output if isinstance(output, Tensor) else output[0]
    return stream


def _logits(model: HookedModel, batch: Batch, stream: Tensor) -> Tensor:
    """Logit of the fitted model's choice minus that of the base's, at overridden decisions."""
    over = batch.over.to(stream.device)
    rows = batch.chosen(stream)[over]
    logits = model.readout(model.normalise(rows))
    first, second = (
        batch.predicted[role].choice.to(logits.device)[over][:, None] for role in ("fitted", "base")
    )
    return (logits.gather(1, first) - logits.gather(1, second)).squeeze(1)


def _slopes(
    model: HookedModel, batch: Batch, first: int
) -> tuple[dict[tuple[int, bool], Tensor], dict[tuple[int, bool], Tensor], float]:
    """Outputs of the base's heads and MLPs, the slopes of the measure there, and the measure."""
    found: dict[tuple[int, bool], Tensor] = {}
    with torch.enable_grad(), _seen(model, first, found):
        stream = batch.recordings["base"].inputs[first].clone().requires_grad_()
        whole = _logits(model, batch, _run(model, batch, first, stream)).sum()
        whole.backward()
    slopes = {
        key: torch.zeros_like(tensor) if tensor.grad is None else tensor.grad
        for key, tensor in found.items()
    }
    return {key: tensor.detach() for key, tensor in found.items()}, slopes, float(whole.detach())


def _patched(
    model: HookedModel,
    batch: Batch,
    theirs: dict[tuple[int, bool], Tensor],
    target: Target,
    first: int,
    heads: int,
) -> float:
    """The measure with the fitted model's output of one of them in the base."""
    given = theirs[target.layer, target.head is None]

    def before(_module: nn.Module, taken: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        changed = taken[0].clone()
        _own(changed, target, heads).copy_(_own(given, target, heads))
        return (changed, *taken[1:])

    def after(_module: nn.Module, _given: object, output: object) -> object:
        return given if isinstance(output, Tensor) else (given, *output[1:])  # pyright: ignore

    places = dict(_places(model, target.layer))
    module = places[target.head is None]
    handle = (
        module.register_forward_hook(after)
        if target.head is None
        else module.register_forward_pre_hook(before)
    )
    try:
        with torch.no_grad():
            stream = _run(model, batch, first, batch.recordings["base"].inputs[first])
            return float(_logits(model, batch, stream).sum())
    finally:
        handle.remove()
