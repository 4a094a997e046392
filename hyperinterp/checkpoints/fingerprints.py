"""Fingerprints of models and adapters in memory: those that their stored files would have."""

import hashlib
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor
from transformers import PreTrainedModel
from transformers.core_model_loading import revert_weight_conversion
from transformers.modeling_utils import remove_tied_weights_from_state_dict

from hyperinterp.checkpoints.adapters import maths_of
from hyperinterp.checkpoints.building import check_finite, quiet_transformers
from hyperinterp.checkpoints.manifest import canonical_json
from hyperinterp.checkpoints.tensorfile import ITEM_BYTES, StoredTensor, fingerprint
from hyperinterp.errors import InputRefused

_NAMES = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16",
    torch.int64: "I64", torch.int32: "I32", torch.int16: "I16", torch.int8: "I8",
    torch.uint8: "U8", torch.bool: "BOOL",
}  # fmt: skip


def weights_fingerprint(model: PreTrainedModel) -> str:
    """Return the fingerprint of a model in memory: that of the files `save_pretrained` would write.

    Tied and renamed tensors count just as they do in a stored checkpoint; nothing is written.

    Args:
        model: a plain model, with all of its weights in memory.

    Raises:
        InputRefused: the model has live adapters, or weights that are elsewhere.
        NumericalFault: a weight is NaN or infinite.
    """
    what = type(model).__name__
    if isinstance(model, PeftModel) or getattr(model, "_hf_peft_config_loaded", False):
        raise InputRefused(f"{what}: expected plain weights, found a live adapter: merge it first")
    if any(weight.is_meta for weight in model.parameters()):
        raise InputRefused(
            f"{what}: expected weights in memory, found some elsewhere; "
            "load the model without a device map"
        )
    check_finite(model, what)
    with quiet_transformers(what):
        state: dict[str, Tensor] = dict(model.state_dict())
        for name in model._keys_to_ignore_on_save or ():
            state.pop(name, None)
        state = remove_tied_weights_from_state_dict(state, model)
        state = revert_weight_conversion(model, state)
    return tensors_fingerprint(state)


def tensors_fingerprint(state: Mapping[str, Tensor]) -> str:
    """Return the fingerprint that named tensors have once they are stored."""
    names = sorted(state)
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        digests = list(pool.map(lambda name: _digest(state[name]), names))
    tensors = {name: _described(name, state[name]) for name in names}
    return fingerprint(tensors, dict(zip(names, digests, strict=True)))


def adapter_fingerprint(base: str, tensors: str, config: Mapping[str, Any]) -> str:
    """Return the fingerprint of base plus adapter: both sets of tensors and the scale settings.

    Args:
        base: fingerprint of the base.
        tensors: fingerprint of the adapter's tensors.
        config: the adapter's configuration.
    """
    settings = canonical_json(maths_of(config))
    text = f"hyperinterp-adapter-1\n{base}\n{tensors}\n{settings}\n"
    return hashlib.sha256(text.encode()).hexdigest()


def _digest(tensor: Tensor) -> str:
    flat: Any = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
    return hashlib.sha256(flat).hexdigest()


def _described(name: str, tensor: Tensor) -> StoredTensor:
    dtype = _NAMES[tensor.dtype]
    size = tensor.numel() * ITEM_BYTES[dtype]
    return StoredTensor(name, dtype, tuple(tensor.shape), Path(), 0, size)
