"""A view of a model that somebody else holds: new modules over the very same weights.

What is measured is the view, so nothing of the owner's model changes: not its mode, its hooks, its
flags or its configuration, also when a measurement ends in an error. Weights are shared, so a view
takes no memory to speak of. Hooks, compiled and instrumented calls stay behind: a view computes
what the modules and their weights compute.
"""

import copy
import functools
import inspect
from collections import OrderedDict
from types import MethodType
from typing import Any, TypeVar

from torch import Tensor, nn
from transformers import GenerationConfig, PreTrainedConfig, PreTrainedModel

from hyperinterp.errors import UnsupportedModel

Module = TypeVar("Module", bound=nn.Module)

LIBRARIES = ("accelerate", "nnsight", "peft", "torch", "transformer_lens", "transformers")
"""Whose hooks and replaced calls are no part of what a model computes."""
_INNER = {
    "GeneralizedComponent": "_original_component",  # transformer-lens
    "OptimizedModule": "_orig_mod",  # torch.compile
    "CheckpointWrapper": "_checkpoint_wrapped_module",  # torch's activation checkpointing
}
_CALLS = ("forward", "_old_forward", "_original_forward", "_hf_hook")
_LEFT_OUT = ("_compiled_call_impl", "_output_capturing_hooks_installed", "__nnsight__")
_ATTENTION = ("eager", "sdpa", "flex_attention", "flash_attention", "paged|", "kernels-community/")


class View:
    """Copies modules; one instance keeps shared parts shared.

    Args:
        root: the model whose parts are copied.

    Attributes:
        hooks: dotted paths of the modules whose forward hooks of the owner were left out.
    """

    def __init__(self, root: nn.Module) -> None:
        self.hooks = [
            path or type(module).__name__
            for path, module in root.named_modules()
            if _hooked(module)
        ]
        self._paths = {id(module): path for path, module in root.named_modules()}
        self._memo: dict[int, Any] = {}
        self._kept: list[Any] = []  # what the ids in the memo belong to
        self._configs: dict[int, Any] = {}
        devices = {weight.device for weight in root.parameters()}
        self._spread = len(devices) > 1 or any(device.type == "meta" for device in devices)

    def of(self, module: Module) -> Module:
        """Return a copy of a module and of all below it, over the same weights."""
        inner = _inner(module)
        if inner is not None:
            return self._remember(module, self.of(inner))
        if id(module) in self._memo:
            return self._memo[id(module)]
        made = module.__class__.__new__(module.__class__)
        self._remember(module, made)
        blank = nn.Module().__dict__
        state = made.__dict__
        state.update(blank)
        for name, value in module.__dict__.items():
            if name not in (*_LEFT_OUT, *_CALLS) and "hooks" not in name:
                state[name] = self.moved(value)
        state["_parameters"] = {n: self.moved(p) for n, p in module._parameters.items()}
        state["_buffers"] = {n: self.moved(b) for n, b in module._buffers.items()}
        state["_modules"] = {n: self.moved(m) for n, m in module._modules.items()}
        state["training"] = False
        state.update(self._calls(module))
        return made

    def moved(self, value: Any) -> Any:
        """Return a value as the copies hold it: modules copied, weights shared, lists their own."""
        if id(value) in self._memo:
            return self._memo[id(value)]
        if isinstance(value, nn.Module):
            return self.of(value)
        if isinstance(value, nn.Parameter):
            return self._remember(value, nn.Parameter(value.detach(), requires_grad=False))
        if isinstance(value, Tensor):
            return self._remember(value, value.detach())
        if isinstance(value, PreTrainedConfig | GenerationConfig):
            return self._remember(value, copy.deepcopy(value, self._configs))
        if isinstance(value, MethodType) and isinstance(value.__self__, nn.Module):
            return MethodType(value.__func__, self.of(value.__self__))
        if type(value) is functools.partial:
            given = [self.moved(item) for item in value.args]
            named = {name: self.moved(item) for name, item in value.keywords.items()}
            return functools.partial(self.moved(value.func), *given, **named)
        return self._container(value)

    def _container(self, value: Any) -> Any:
        kind: Any = type(value)
        if kind in (list, tuple, set):
            return kind(self.moved(item) for item in value)
        if kind in (dict, OrderedDict):
            return kind((name, self.moved(item)) for name, item in value.items())
        return value

    def _remember(self, value: Any, made: Any) -> Any:
        self._memo[id(value)] = made
        self._kept.append(value)
        return made

    def _calls(self, module: nn.Module) -> dict[str, Any]:
        """Replaced calls that are part of what the module computes."""
        own = module.__dict__
        if "_hf_hook" in own and self._spread and not _of_library(own.get("forward"), "nnsight"):
            return {name: self.moved(own[name]) for name in _CALLS if name in own}
        if "forward" not in own or "_original_forward" in own or "_hf_hook" in own:
            return {}
        forward = own["forward"]
        if isinstance(forward, MethodType) and forward.__self__ is module:
            if forward.__func__ is type(module).forward:
                return {}
            return {"forward": self.moved(forward)}
        if hasattr(forward, "_torchdynamo_orig_callable") or not _is_own(forward):
            return {}
        raise UnsupportedModel(
            f"{type(module).__name__} at {self._paths.get(id(module), '')!r}: expected a module "
            "whose forward is a method, found one that a function of your own replaces; pass "
            "hyperinterp.HookedModel(model, tokenizer) to measure it as it is, or make it a method "
            "(module.forward = types.MethodType(function, module))"
        )


def _inner(module: nn.Module) -> nn.Module | None:
    """The module that a wrapper of a known library holds; None for a plain module."""
    for kind in type(module).__mro__:
        name = _INNER.get(kind.__name__)
        if name is not None and kind.__module__.partition(".")[0] in LIBRARIES:
            return module._modules.get(name)
    return None


def _of_library(call: Any, *libraries: str) -> bool:
    """Return whether a function, method or callable object was written in one of some libraries."""
    while isinstance(call, functools.partial):
        call = call.func
    call = getattr(call, "__func__", call)
    if inspect.isfunction(call):
        where = str(call.__globals__.get("__name__", ""))
    else:
        where = str(type(call).__module__)
    return where.partition(".")[0] in libraries


def _is_own(call: Any) -> bool:
    return not _of_library(call, *LIBRARIES)


def _hooked(module: nn.Module) -> bool:
    """Return whether somebody, and no library, hung a forward hook on a module."""
    if type(module).__name__ == "HookPoint":  # of transformer-lens, which wraps what it is given
        return any(not hook.is_permanent for hook in getattr(module, "fwd_hooks", ()))
    return any(map(_is_own, [*module._forward_hooks.values(), *module._forward_pre_hooks.values()]))


def settle(hf: PreTrainedModel) -> None:
    """Undo the settings that say how a model is called rather than what it computes.

    Tuples instead of named outputs, kept hidden states or attentions, no cache, and which of the
    attention kernels computes: with these equal for every model, so are the figures.

    Args:
        hf: the model, whose configuration is changed in place.

    Raises:
        UnsupportedModel: attention is computed by a function that was registered by hand.
    """
    for config in {id(part.config): part.config for part in _with_config(hf)}.values():
        found = str(getattr(config, "_attn_implementation", None) or "eager")
        if not found.startswith(_ATTENTION):
            raise UnsupportedModel(
                f"{type(hf).__name__}: expected attention of transformers, found the "
                f"implementation {found!r}; call model.set_attn_implementation('sdpa') to measure "
                "without it, or pass hyperinterp.HookedModel(model, tokenizer) to measure with it"
            )
        for name, value in (
            ("output_hidden_states", False), ("output_attentions", False), ("return_dict", True),
            ("use_cache", True),
        ):  # fmt: skip
            if getattr(config, name, value) != value:
                setattr(config, name, value)
    wanted = "sdpa" if getattr(hf, "_supports_sdpa", False) else "eager"
    if hf.config._attn_implementation != wanted:
        hf.set_attn_implementation(wanted)


def _with_config(hf: PreTrainedModel) -> list[Any]:
    return [part for part in hf.modules() if isinstance(part, PreTrainedModel)]
