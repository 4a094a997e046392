"""Parts of a decoder whose function can be exchanged, and where a model keeps them."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from hyperinterp.models.hooked import HookedModel


class PartKind(StrEnum):
    """A part whose function can be exchanged."""

    BLOCK = "block"
    ATTN = "attention"
    MLP = "MLP"
    FINAL_NORM = "final norm"
    UNEMBED = "unembedding"


@dataclass(frozen=True)
class Part:
    """One exchangeable part; `layer` is the block index, None for the last two kinds."""

    kind: PartKind
    layer: int | None = None

    @property
    def label(self) -> str:
        """Words for people, e.g. `attention 3`."""
        return self.kind.value if self.layer is None else f"{self.kind.value} {self.layer}"


def blocks(layers: Sequence[int]) -> tuple[Part, ...]:
    """The whole blocks with these indices, as parts for `patched`.

    Args:
        layers: indices from 0.
    """
    return tuple(Part(PartKind.BLOCK, layer) for layer in layers)


def paths_of(model: HookedModel, part: Part) -> tuple[str, ...]:
    """Dotted paths of a part's modules inside the Hugging Face model; one for most families."""
    anatomy = model.anatomy
    block = f"{anatomy.blocks}.{part.layer}"
    match part.kind:
        case PartKind.FINAL_NORM:
            return (anatomy.final_norm,)
        case PartKind.UNEMBED:
            return (anatomy.unembed,)
        case PartKind.BLOCK:
            return (block,)
        case PartKind.ATTN:
            return (f"{block}.{anatomy.block.attn}",)
        case PartKind.MLP:
            return tuple(f"{block}.{path}" for path in anatomy.block.mlp_modules)
