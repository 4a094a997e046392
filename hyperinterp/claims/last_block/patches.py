"""The patches between two models for C6, and the text on which they are measured."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from torch import nn

from hyperinterp.analyses.replays import shortened
from hyperinterp.models import (
    Component,
    ComponentKind,
    HookedModel,
    blocks,
    differing_settings,
    paths_of,
    same_function,
    same_tensor,
    weights_of,
)
from hyperinterp.text import TokenRows
from hyperinterp.under_comparison import Study

INTO_BASE, INTO_FITTED = "fitted into base", "base into fitted"
DIRECTIONS = {
    INTO_BASE: "fitted into base (sufficiency)",
    INTO_FITTED: "base into fitted (necessity)",
}
"""What each direction asks: whether the fitted component is enough, and whether it is needed."""

Key = tuple[Component, ...]


@dataclass(frozen=True)
class Patch:
    """Components that are taken from the donor together.

    Attributes:
        label: words for people, e.g. "blocks 25-29".
        kind: "block", "attention", "MLP", "final norm", "unembedding", "last k" or "first k".
        components: what is taken.
    """

    label: str
    kind: str
    components: Key

    @property
    def layers(self) -> tuple[int, ...]:
        """Block indices; empty for the final norm and the unembedding."""
        return tuple(
            component.layer for component in self.components if component.layer is not None
        )


def span(layers: Sequence[int]) -> str:
    """Words for consecutive blocks: "block 3" or "blocks 3-5"."""
    first, last = layers[0], layers[-1]
    return f"block {first}" if first == last else f"blocks {first}-{last}"


def depths(layers: int) -> tuple[int, ...]:
    """Return the numbers of blocks patched together: 1, 2, 3, 5, 10, 20, 40, ... and all.

    >>> depths(30)
    (1, 2, 3, 5, 10, 20, 30)
    """
    steps = [1, 2, 3, 5]
    while steps[-1] < layers:
        steps.append(2 * steps[-1])
    return (*(k for k in steps if k < layers), layers)


def planned(model: HookedModel, *, inside: bool) -> tuple[Patch, ...]:
    """Return every patch of one component: of each block, and of the ends.

    Args:
        model: either model of the pair.
        inside: also patch each block's attention and MLP on their own.
    """
    layers = range(model.n_layers)
    kinds = [ComponentKind.BLOCK]
    if inside:
        kinds += [ComponentKind.ATTN] + [ComponentKind.MLP] * whole_mlp(model)
    components = [Component(kind, layer) for kind in kinds for layer in layers]
    components += [Component(ComponentKind.FINAL_NORM), Component(ComponentKind.UNEMBED)]
    return tuple(
        Patch(component.label, component.kind.value, (component,)) for component in components
    )


def together(layers: int, changed: Collection[int]) -> tuple[Patch, ...]:
    """Return every patch of the last and the first k blocks.

    The k at which the first or the last changed block comes in are among them: what lies between
    two of them is then no corner that nobody measured.

    Args:
        layers: number of blocks.
        changed: indices of those that differ.
    """
    found = []
    ends = (min(changed), max(changed) + 1) if changed else ()
    for name in ("last k", "first k"):
        corners = (layers - end if name == "last k" else end for end in ends)
        for k in sorted({*depths(layers), *corners} - {0}):
            chosen = range(layers)[-k:] if name == "last k" else range(k)
            found.append(Patch(span(chosen), name, blocks(chosen)))
    return tuple(found)


def whole_mlp(model: HookedModel) -> bool:
    """Return whether attention and MLP together hold every weight matrix of a block."""
    kinds = (ComponentKind.ATTN, ComponentKind.MLP)
    paths = [path for kind in kinds for path in paths_of(model, Component(kind, 0))]
    inside = {id(weight) for path in paths for weight in model.hf.get_submodule(path).parameters()}
    return all(id(weight) in inside for weight in model.blocks[0].parameters() if weight.ndim > 1)


def differing(
    base: HookedModel, fitted: HookedModel, components: Iterable[Component]
) -> frozenset[Component]:
    """The components that differ in weights or in settings; patching the others does nothing."""
    settings = {kind for setting in differing_settings(base, fitted) for kind in setting.acts.kinds}

    def same(path: str) -> bool:
        return same_function(base.hf.get_submodule(path), fitted.hf.get_submodule(path))

    return frozenset(
        component
        for component in set(components)
        if component.kind in settings or not all(same(path) for path in paths_of(base, component))
    )


def reweighted(base: HookedModel, fitted: HookedModel) -> tuple[int, ...]:
    """Indices of the blocks whose weights differ, whatever their settings."""

    def differ(ours: nn.Module, theirs: nn.Module) -> bool:
        known = weights_of(theirs)
        return any(
            not same_tensor(tensor, known[name])
            for name, tensor in weights_of(ours).items()
            if name in known  # a table of one model alone is a setting
        )

    pairs = zip(base.blocks, fitted.blocks, strict=True)
    return tuple(layer for layer, pair in enumerate(pairs) if differ(*pair))


def movable(model: HookedModel, layer: int) -> bool:
    """Return whether noise can be added to every weight of a block: none is packed."""
    weights = model.blocks[layer].parameters()
    return all(item.is_floating_point() and item.itemsize > 1 for item in weights)


def reduced(components: Key, changed: frozenset[Component]) -> Key:
    """The components that differ: patching the others does nothing."""
    return tuple(component for component in components if component in changed)


def null_layers(found: Sequence[int], layers: int, count: int) -> tuple[int, ...]:
    """Blocks that get random changes: the last one, then evenly chosen others that can.

    Args:
        found: indices of the blocks whose weights differ and can be changed at random.
        layers: number of blocks.
        count: how many are wanted.
    """
    last = [layer for layer in found if layer == layers - 1]
    others = [layer for layer in found if layer < layers - 1]
    room = min(max(count - len(last), 0), len(others))
    even = [others[int((index + 0.5) * len(others) / room)] for index in range(room)]
    return (*last[:count], *even)


def passages(study: Study) -> TokenRows:
    """The first passages, cut to two tokens per context that is looked at."""
    return shortened(study, range(len(study.heldout.rows))[: study.sizes.patch_prompts])
