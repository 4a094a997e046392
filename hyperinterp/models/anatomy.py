"""The components of a model family, found by their module paths.

transformer-lens maintains, for every decoder family it knows, a map from canonical names
(`blocks`, `attn`, `ln_final`, ...) to module paths. We read the paths from that map and hook
the Hugging Face modules themselves, so that nothing is wrapped, renamed or folded.
"""

import logging
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.utils import logging as hf_logging

from hyperinterp.errors import UnsupportedModel


@dataclass(frozen=True)
class BlockPaths:
    """Sub-module paths inside one block; None where the family has no such module.

    Attributes:
        attn: the attention module.
        mlp: the module whose output is the MLP's.
        mlp_modules: the modules that together are the MLP; more than one where the family keeps
            its maps in the block itself (OPT).
        attn_added: the module whose output is added to the stream after attention.
        mlp_added: the same after the MLP.
        mid_norm: the norm between attention and MLP.
    """

    attn: str
    mlp: str
    mlp_modules: tuple[str, ...]
    attn_added: str
    mlp_added: str
    mid_norm: str | None


@dataclass(frozen=True)
class Anatomy:
    """Module paths of one decoder, relative to the Hugging Face model."""

    family: str
    blocks: str
    embed: str
    final_norm: str
    unembed: str
    block: BlockPaths


def _component_mapping(model: PreTrainedModel) -> dict[str, Any]:
    """The transformer-lens component map for this model's architecture."""
    before = logging.getLogger("transformers").level
    from transformer_lens.factories.architecture_adapter_factory import (
        ArchitectureAdapterFactory,
    )
    from transformer_lens.model_bridge.sources import (
        build_bridge_config_from_hf,
    )

    hf_logging.set_verbosity(before)  # the import above silences transformers for everybody
    architecture = type(model).__name__
    try:
        config = build_bridge_config_from_hf(
            model.config, architecture, "hyperinterp", torch.float32
        )
        adapter = ArchitectureAdapterFactory.select_architecture_adapter(config)
    except Exception as error:
        raise UnsupportedModel(
            f"{architecture}: expected a decoder family that transformer-lens knows, "
            f"found none ({error})"
        ) from error
    return dict(adapter.component_mapping or {})


def _name(component: Any) -> str | None:
    """Path of a component, following a container without a module of its own to its output."""
    if component is None:
        return None
    if component.name is not None:
        return str(component.name)
    return _name(component.submodules.get("out"))


def _modules(component: Any) -> tuple[str, ...]:
    """Paths of the modules that make up a component: its own, or those inside a bare container."""
    if component.name is not None:
        return (str(component.name),)
    return tuple(path for part in component.submodules.values() for path in _modules(part))


def locate(model: PreTrainedModel) -> Anatomy:
    """Find the components of a causal language model.

    Args:
        model: any decoder of a family that transformer-lens maps.

    Returns:
        Paths that were all checked to exist on `model`.

    Raises:
        UnsupportedModel: unknown family, an encoder, or a component that is missing.
    """
    architecture = type(model).__name__
    if getattr(model.config, "is_encoder_decoder", False):
        raise UnsupportedModel(f"{architecture}: expected a decoder, found an encoder-decoder")
    components = _component_mapping(model)
    missing = [
        name for name in ("blocks", "embed", "ln_final", "unembed") if name not in components
    ]
    if missing:
        raise UnsupportedModel(
            f"{architecture}: expected a decoder with blocks, embed, ln_final and unembed, "
            f"found no {', '.join(missing)}"
        )
    inside = components["blocks"].submodules
    attn, mlp = _name(inside.get("attn")), _name(inside.get("mlp"))
    if attn is None or mlp is None:
        raise UnsupportedModel(
            f"{architecture}: expected blocks with attention and MLP, found {sorted(inside)}"
        )
    anatomy = Anatomy(
        family=str(model.config.model_type),
        blocks=components["blocks"].name,
        embed=components["embed"].name,
        final_norm=components["ln_final"].name,
        unembed=components["unembed"].name,
        block=BlockPaths(
            attn=attn,
            mlp=mlp,
            mlp_modules=_modules(inside["mlp"]),
            attn_added=_name(inside.get("ln1_post")) or attn,
            mlp_added=_name(inside.get("ln2_post")) or mlp,
            mid_norm=_name(inside.get("ln2")),
        ),
    )
    _check_paths(model, anatomy)
    return anatomy


def _check_paths(model: PreTrainedModel, anatomy: Anatomy) -> None:
    paths = [anatomy.blocks, anatomy.embed, anatomy.final_norm, anatomy.unembed]
    for path in paths:
        try:
            model.get_submodule(path)
        except AttributeError as error:
            raise UnsupportedModel(
                f"{type(model).__name__}: expected a module at {path!r}, found none"
            ) from error
    blocks = model.get_submodule(anatomy.blocks)
    if not isinstance(blocks, nn.ModuleList) or len(blocks) == 0:
        raise UnsupportedModel(
            f"{type(model).__name__}: expected a ModuleList of blocks at {anatomy.blocks!r}, "
            f"found {type(blocks).__name__}"
        )
    for index, block in enumerate(blocks):
        for path in (anatomy.block.attn, *anatomy.block.mlp_modules):
            try:
                block.get_submodule(path)
            except AttributeError as error:
                raise UnsupportedModel(
                    f"{type(model).__name__}: expected {path!r} in block {index}, found none "
                    "(blocks of mixed kinds are not supported)"
                ) from error
