"""The weights that train: LoRA on the linear maps of chosen blocks, or the blocks' own weights."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora import LoraLayer
from torch import nn
from transformers.pytorch_utils import Conv1D

from hyperinterp.blocks import listed
from hyperinterp.errors import UnsupportedModel
from hyperinterp.models import HookedModel
from hyperinterp.training.config import TrainConfig


@dataclass(frozen=True)
class Trainable:
    """The trained weights of a run.

    Attributes:
        blocks: indices of the blocks that hold trainable weights.
        peft: the model under its adapter; None when plain weights train.
        trainable: number of trainable parameters.
        total: number of all parameters, the adapter's included.
        modules: dotted paths of the adapted linear maps; empty without an adapter.
    """

    blocks: tuple[int, ...]
    peft: PeftModel | None
    trainable: int
    total: int
    modules: tuple[str, ...] = ()


def trained_blocks(model: HookedModel, config: TrainConfig) -> tuple[int, ...]:
    """Indices of the blocks that the method trains.

    Raises:
        InputRefused: blocks are asked for that the model does not have.
    """
    placement = config.placement
    if placement is None:
        return tuple(range(model.n_layers))
    return placement.of(model.n_layers, config.seed)


def linear_maps(block: nn.Module) -> dict[str, nn.Module]:
    """Every linear map of one block by its path inside the block."""
    return {
        path: module
        for path, module in block.named_modules()
        if isinstance(module, nn.Linear | Conv1D)
    }


def _refuse_stacked_experts(model: HookedModel, blocks: tuple[int, ...]) -> None:
    for index in blocks:
        for name, parameter in model.blocks[index].named_parameters():
            if parameter.dim() > 2 and "conv" not in name:
                raise UnsupportedModel(
                    f"{model.anatomy.family}: LoRA expected linear maps, found the stacked experts "
                    f"{name} {tuple(parameter.shape)} in block {index}; train full weights "
                    "(method full, or late-stage with late_stage_weights)"
                )


def lora_config(model: HookedModel, config: TrainConfig) -> LoraConfig:
    """LoRA on all linear maps of the trained blocks, named the way the family names them.

    Raises:
        UnsupportedModel: the blocks hold no linear map, or experts stacked in one tensor.
    """
    blocks = trained_blocks(model, config)
    _refuse_stacked_experts(model, blocks)
    maps = {
        path: module
        for index in blocks
        for path, module in linear_maps(model.blocks[index]).items()
    }
    if not maps:
        raise UnsupportedModel(
            f"{model.anatomy.family}: LoRA expected linear maps in the blocks, found none"
        )
    return LoraConfig(
        task_type="CAUSAL_LM",
        r=config.rank,
        lora_alpha=config.lora_alpha,  # pyright: ignore[reportArgumentType]
        lora_dropout=0.0,
        bias="none",
        target_modules=sorted(maps),
        layers_to_transform=list(blocks),
        layers_pattern=model.anatomy.blocks.rpartition(".")[2],
        fan_in_fan_out=any(isinstance(module, Conv1D) for module in maps.values()),
    )


def check_method(model: HookedModel, config: TrainConfig) -> None:
    """Refuse a method that does not fit the model, before anything is written.

    Raises:
        InputRefused: blocks are asked for that the model does not have.
        UnsupportedModel: LoRA does not fit the family.
    """
    trained_blocks(model, config)
    if config.uses_lora:
        lora_config(model, config)


def _check_adapted(model: HookedModel, peft: PeftModel, blocks: tuple[int, ...]) -> tuple[str, ...]:
    """The adapted modules must be exactly the linear maps of the trained blocks."""
    found = {
        path
        for path, module in peft.get_base_model().named_modules()
        if isinstance(module, LoraLayer)
    }
    root = model.anatomy.blocks
    wanted = {
        f"{root}.{index}.{path}"
        for index in blocks
        for path, module in model.blocks[index].named_modules()
        if isinstance(module, LoraLayer)
    }
    if not found or found != wanted:
        raise UnsupportedModel(
            f"{model.anatomy.family}: expected LoRA in blocks {listed(blocks)}, "
            f"found {len(found)} adapted modules, {len(found - wanted)} of them elsewhere"
        )
    return tuple(sorted(found))


@contextmanager
def trainable(model: HookedModel, config: TrainConfig) -> Iterator[Trainable]:
    """Make the method's weights trainable; on leaving, take adapters off and flags back.

    Full weights that were trained stay as they are.

    Raises:
        UnsupportedModel: nothing would train, or LoRA does not fit the family.
    """
    flags = {name: parameter.requires_grad for name, parameter in model.hf.named_parameters()}
    blocks = trained_blocks(model, config)
    peft: PeftModel | None = None
    try:
        model.hf.requires_grad_(False)
        modules: tuple[str, ...] = ()
        if config.uses_lora:
            wanted = lora_config(model, config)
            peft = _with_adapter(model, wanted)
            modules = _check_adapted(model, peft, blocks)
        elif config.placement is None:
            model.hf.requires_grad_(True)
        else:
            for index in blocks:
                model.blocks[index].requires_grad_(True)
        yield _counted(model, blocks, peft, modules)
    finally:
        if peft is not None:
            peft.unload()
            with suppress(AttributeError):
                del model.hf.peft_config
        for name, parameter in model.hf.named_parameters():
            parameter.requires_grad_(flags.get(name, False))


def _with_adapter(model: HookedModel, wanted: LoraConfig) -> PeftModel:
    with warnings.catch_warnings():
        # The base has no Hub name of its own when it was built in memory or from a GGUF file.
        warnings.filterwarnings("ignore", message="Could not find a config file")
        # peft asks transformers for a flag by its old name.
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*deprecated")
        peft = get_peft_model(model.hf, wanted)
    if not isinstance(peft, PeftModel):
        raise UnsupportedModel(f"{model.anatomy.family}: peft gave a {type(peft).__name__}")
    return peft


def _counted(
    model: HookedModel, blocks: tuple[int, ...], peft: PeftModel | None, modules: tuple[str, ...]
) -> Trainable:
    count = sum(p.numel() for p in model.hf.parameters() if p.requires_grad)
    if count == 0:
        raise UnsupportedModel(
            f"{model.anatomy.family}: expected trainable parameters in {len(blocks)} blocks, "
            "found none"
        )
    total = sum(p.numel() for p in model.hf.parameters())
    return Trainable(blocks, peft, count, total, modules)


@torch.no_grad()
def halve_frozen(model: HookedModel) -> None:
    """Put the blocks' matrices that do not train into bfloat16, for good.

    Autocast rounds a matrix to bfloat16 whenever it computes with it; embedding, norms and
    unembedding it reads in float32, and they stay.

    Args:
        model: the model, with its adapter in place.
    """
    for module in model.blocks.modules():
        if isinstance(module, nn.Linear | Conv1D) and not module.weight.requires_grad:
            module.weight.data = module.weight.data.bfloat16()
