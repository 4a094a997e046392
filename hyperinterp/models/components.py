"""Components of a decoder whose function can be exchanged, and where a model keeps them."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from hyperinterp.models.hooked import HookedModel


class ComponentKind(StrEnum):
    """A component whose function can be exchanged."""

    BLOCK = "block"
    ATTN = "attention"
    MLP = "MLP"
    FINAL_NORM = "final norm"
    UNEMBED = "unembedding"


@dataclass(frozen=True)
class Component:
    """One exchangeable component; `layer` is the block index, None for the last two kinds."""

    kind: ComponentKind
    layer: int | None = None

    @property
    def label(self) -> str:
        """Words for people, e.g. `attention 3`."""
        return self.kind.value if self.layer is None else f"{self.kind.value} {self.layer}"


def blocks(layers: Sequence[int]) -> tuple[Component, ...]:
    """The whole blocks with these indices, as components for `patched`.

    Args:
        layers: indices from 0.
    """
    return tuple(Component(ComponentKind.BLOCK, layer) for layer in layers)


def paths_of(model: HookedModel, component: Component) -> tuple[str, ...]:
    """Dotted paths of a component's modules in the Hugging Face model; one in most families."""
    anatomy = model.anatomy
    block = f"{anatomy.blocks}.{component.layer}"
    match component.kind:
        case ComponentKind.FINAL_NORM:
            return (anatomy.final_norm,)
        case ComponentKind.UNEMBED:
            return (anatomy.unembed,)
        case ComponentKind.BLOCK:
            return (block,)
        case ComponentKind.ATTN:
            return (f"{block}.{anatomy.block.attn}",)
        case ComponentKind.MLP:
            return tuple(f"{block}.{path}" for path in anatomy.block.mlp_modules)
