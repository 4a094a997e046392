"""Quantised weights of other libraries: read for analysis, as the dense weights they stand for."""

import importlib.util
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from hyperinterp.checkpoints.screen import Screened, one_line
from hyperinterp.checkpoints.tensorfile import StoredTensor
from hyperinterp.errors import InputRefused, UnsafeFile

_KEY = "quantization_config"
_OTHER_KEYS = ("compression_config",)
_PLAIN = re.compile(r"[A-Za-z0-9_.\-]{0,128}")
_MARKS = re.compile(
    r"(qweight|qzeros|SCB|absmax|quant_map|quant_state\.\w+|nested_absmax|nested_quant_map"
    r"|weight_packed|weight_scale|weight_scale_inv|weight_shape|\w+_blocks|\w+_scales)$"
)
_MAX_PACKED = 16  # weights in one stored element: two bits each in a 32-bit integer
_MAX_ITEMS = 4096


@dataclass(frozen=True)
class _Method:
    """A way of quantising: what reads it, and which settings may be handed over.

    Attributes:
        modules: What must be importable.
        install: The command that installs it.
        keys: Settings that may be handed over; others are left out.
        fixed: Settings that are always handed over.
    """

    modules: tuple[str, ...]
    install: str
    keys: frozenset[str]
    fixed: Mapping[str, Any]


def _method(modules: str, install: str, keys: str, **fixed: Any) -> _Method:
    return _Method(tuple(modules.split()), install, frozenset(keys.split()), fixed)


_METHODS = {
    "bitsandbytes": _method(
        "bitsandbytes accelerate", "bitsandbytes",
        "load_in_8bit load_in_4bit llm_int8_threshold llm_int8_skip_modules "
        "llm_int8_has_fp16_weight bnb_4bit_compute_dtype bnb_4bit_quant_type "
        "bnb_4bit_use_double_quant bnb_4bit_quant_storage",
    ),
    "gptq": _method(
        "gptqmodel optimum", "gptqmodel optimum",
        "bits group_size damp_percent desc_act act_group_aware sym true_sequential "
        "checkpoint_format pack_dtype modules_in_block_to_quantize",
    ),
    "awq": _method(
        "gptqmodel accelerate", "gptqmodel accelerate",
        "bits group_size zero_point version format modules_to_not_convert",
    ),
    "compressed-tensors": _method(
        "compressed_tensors", "compressed-tensors",
        "config_groups format quantization_status kv_cache_scheme global_compression_ratio "
        "ignore sparsity_config",
        dequantize=True,
    ),
    "fp8": _method(
        "accelerate", "accelerate",
        "activation_scheme weight_block_size modules_to_not_convert scale_fmt", dequantize=True,
    ),
    "mxfp4": _method("accelerate", "accelerate", "modules_to_not_convert", dequantize=True),
}  # fmt: skip


def settle(screened: Screened, tensors: Mapping[str, StoredTensor], what: str) -> Screened:
    """Decide what the quantisation settings of a model configuration come to.

    Settings that lie beside weights which are not quantised are left out. Those of a method that
    can be read here are reduced to what it may say.

    Raises:
        InputRefused: Its library is not installed, or the method is none that is read here.
        UnsafeFile: A setting is more than a plain value.
    """
    told = _settings(screened.config)
    if not told:
        return screened
    config = _without_settings(screened.config)
    if not any(_MARKS.search(name) for name in tensors):
        note = (
            f"{what}: asks for quantised weights ({_named(told)}), the stored ones are not; they "
            "were read as they are."
        )
        return Screened(config, (*screened.notes, note), screened.own_code)
    name = _named(told)
    method = _METHODS.get(name)
    if method is None:
        raise InputRefused(
            f"{what}: the weights are quantised by {name!r:.80}, which is not read here; load them "
            "with transformers where that library is installed, call model.dequantize() and "
            "save_pretrained(DIR), then name DIR"
        )
    kept = {k: v for k, v in told.items() if k in method.keys}
    for key, value in kept.items():
        _check_plain(key, value, what)
    missing = [module for module in method.modules if importlib.util.find_spec(module) is None]
    if missing:
        raise InputRefused(
            f"{what}: the weights are quantised by {name}, whose library {missing[0]} is not "
            f"installed; run: pip install {method.install}"
        )
    config[_KEY] = {**kept, "quant_method": name, **method.fixed}
    note = (
        f"{what}: the weights are quantised by {name}; the dense weights they stand for were read."
    )
    return Screened(config, (*screened.notes, note), screened.own_code)


def is_quantised(config: Mapping[str, Any] | None) -> bool:
    """Return whether a settled configuration still has quantised weights."""
    return config is not None and _KEY in config


def packed(config: Mapping[str, Any] | None) -> int:
    """Return how many weights one stored element may stand for."""
    return _MAX_PACKED if is_quantised(config) else 1


def dense(model: PreTrainedModel, dtype: torch.dtype, what: str) -> PreTrainedModel:
    """Return a model that was read quantised with plain linear maps, in one dtype.

    Raises:
        InputRefused: Its library cannot give the dense weights.
    """
    loose: Any = model
    try:
        if getattr(loose, "hf_quantizer", None) is not None and _has_packed(model):
            try:
                loose = loose.dequantize(dtype=dtype)
            except NotImplementedError:
                _densify(loose, dtype)
    except (RuntimeError, ValueError, TypeError, ImportError) as error:
        raise InputRefused(
            f"{what}: its library cannot give the dense weights here ({one_line(error, 160)}); "
            "call model.dequantize() and save_pretrained(DIR) on a machine where it can, then "
            "name DIR"
        ) from error
    loose.hf_quantizer = None
    for mark in ("is_quantized", "is_loaded_in_4bit", "is_loaded_in_8bit", "quantization_method"):
        loose.__dict__.pop(mark, None)
    for config in (loose.config, loose.config.get_text_config()):
        if hasattr(config, _KEY):
            delattr(config, _KEY)
    return loose.to(dtype)


def _has_packed(model: nn.Module) -> bool:
    weights = [*model.parameters(), *model.buffers()]
    packed_types = (torch.uint8, torch.int8, torch.int32, torch.float8_e4m3fn)
    return any(tensor.dtype in packed_types for tensor in weights)


@torch.no_grad()
def _densify(model: nn.Module, dtype: torch.dtype) -> None:
    """Replace packed linear maps by what they do to the unit vectors."""
    for name, module in list(model.named_modules()):
        width = getattr(module, "in_features", None)
        if isinstance(module, nn.Linear) or not hasattr(module, "qweight") or width is None:
            continue
        device = next(module.buffers()).device
        zero = module(torch.zeros(1, width, dtype=torch.float16, device=device))
        unit = module(torch.eye(width, dtype=torch.float16, device=device))
        plain = nn.Linear(width, unit.shape[-1], bias=bool(zero.any()), dtype=dtype)
        plain.weight.copy_((unit - zero).T)
        if plain.bias is not None:
            plain.bias.copy_(zero[0])
        parent, _, leaf = name.rpartition(".")
        setattr(model.get_submodule(parent), leaf, plain)


def _settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """The quantisation settings, at the top or one level down."""
    for level in (config, *(v for v in config.values() if isinstance(v, Mapping))):
        for key in (_KEY, *_OTHER_KEYS):
            if isinstance(level.get(key), Mapping) and level[key]:
                return dict(level[key])
    return {}


def _without_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    drop = (_KEY, *_OTHER_KEYS)
    return {
        k: _without_settings(v) if isinstance(v, Mapping) else v
        for k, v in config.items()
        if k not in drop
    }


def _named(told: Mapping[str, Any]) -> str:
    name = told.get("quant_method")
    if name is None and (told.get("load_in_4bit") or told.get("load_in_8bit")):
        return "bitsandbytes"
    return one_line(Exception(name), 60)


def _check_plain(key: str, value: Any, what: str) -> None:
    todo, seen = [value], 0
    while todo:
        item = todo.pop()
        seen += 1
        if isinstance(item, Mapping):
            todo += [*map(str, item), *item.values()]
        elif isinstance(item, list):
            todo += item
        elif (isinstance(item, str) and not _PLAIN.fullmatch(item)) or seen > _MAX_ITEMS:
            raise UnsafeFile(
                f"{what}: {_KEY} says {key} = {value!r:.80}; expected plain names and numbers (no "
                "pattern is run); de-quantise it where you trust it (model.dequantize() and "
                "save_pretrained(DIR)), then name DIR"
            )
