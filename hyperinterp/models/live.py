"""Live adapters of peft inside a view: merged as a stored adapter is, or taken off."""

from collections.abc import Iterator
from typing import Any

from peft import PeftModel
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils.other import AuxiliaryTrainingWrapper
from torch import nn
from transformers import PreTrainedModel

from hyperinterp.errors import InputRefused


def adapted_modules(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """Return the outermost modules that adapters wrap, by dotted path."""
    return list(_outermost(model, ""))


def _outermost(module: nn.Module, path: str) -> Iterator[tuple[str, nn.Module]]:
    for name, child in module.named_children():
        where = f"{path}.{name}".lstrip(".")
        if isinstance(child, BaseTunerLayer | AuxiliaryTrainingWrapper):
            yield where, child
        else:
            yield from _outermost(child, where)


def is_on(module: nn.Module) -> bool:
    """Return whether an adapted module computes with its adapters."""
    return not getattr(module, "disable_adapters", False)


def check_kind(model: nn.Module, what: str) -> None:
    """Refuse adapters that are no change of weights, before any work.

    Raises:
        InputRefused: soft prompts or prefixes, or adapters that are on in some modules only.
    """
    if isinstance(model, PeftModel):
        for name in model.active_adapters:
            kind = model.peft_config[name]
            if kind.is_prompt_learning or getattr(kind, "is_adaption_prompt", False):
                raise InputRefused(
                    f"{what}: expected adapters that change weights (LoRA and its kin), found "
                    f"{name!r} of kind {getattr(kind.peft_type, 'value', kind.peft_type)}, which "
                    "adds tokens or inputs; compare a twin trained with LoRA or full weights"
                )
    states = {is_on(module) for _, module in adapted_modules(model)}
    if len(states) > 1:
        raise InputRefused(
            f"{what}: expected adapters that are all on or all off, found both; call "
            "enable_adapter_layers() or disable_adapter_layers() on the model first"
        )


def settle_adapters(model: nn.Module, what: str, *, off: bool = False) -> None:
    """Put plain modules in the place of all adapted ones.

    The weights of adapted modules become the view's own first; those of its owner stay as they
    are. Adapters that are on are merged, exactly as they are when an adapter is loaded by name.

    Args:
        model: a view; changed in place.
        what: what to call it in errors.
        off: take the adapters off whether they are on or not.

    Raises:
        InputRefused: a kind of adapter that cannot be merged.
    """
    for path, module in adapted_modules(model):
        merge = is_on(module) and not off
        parent, _, name = path.rpartition(".")
        try:
            plain = _plain(module, merge=merge)
        except (ValueError, NotImplementedError, RuntimeError, AttributeError) as error:
            raise InputRefused(
                f"{what}: expected adapters that can be merged into the weights, found "
                f"{type(module).__name__} at {path}: {str(error).splitlines()[0]:.120}; merge it "
                "yourself and pass the whole model"
            ) from error
        setattr(model.get_submodule(parent) if parent else model, name, plain)
    for module in model.modules():
        for leftover in ("peft_config", "_hf_peft_config_loaded"):
            module.__dict__.pop(leftover, None)


def _plain(module: nn.Module, *, merge: bool) -> nn.Module:
    if isinstance(module, AuxiliaryTrainingWrapper):
        return module.unload_and_optionally_merge_module(
            merge=merge, safe_merge=False, adapter_names=None
        )
    layers: list[Any] = []
    base: Any = module
    while isinstance(base, BaseTunerLayer):  # several parameters of one module: a layer for each
        layers.append(base)
        base = layers[-1].base_layer
    if merge or any(layer.merged for layer in layers):
        for name, weight in base._parameters.items():
            if weight is not None:
                base._parameters[name] = nn.Parameter(weight.clone(), requires_grad=False)
    for layer in layers:
        left = [name for name in layer.active_adapters if name not in layer.merged_adapters]
        if merge and left:
            layer.merge(safe_merge=False, adapter_names=left)
        elif layer.merged and not merge:
            layer.unmerge()
    return base


def trained_biases(model: nn.Module) -> bool:
    """Return whether an adapter trained biases of its base in place, so that the base is gone."""
    known = getattr(model, "peft_config", None)
    configs = known.values() if isinstance(known, dict) else ()
    return any(getattr(config, "bias", "none") != "none" for config in configs)


def is_inside_peft(model: nn.Module) -> bool:
    """Return whether a plain model holds the live layers of a PeftModel that wraps it."""
    return (
        isinstance(model, PreTrainedModel)
        and not getattr(model, "_hf_peft_config_loaded", False)
        and bool(adapted_modules(model))
    )
