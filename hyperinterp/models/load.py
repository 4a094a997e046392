"""From a name to a hooked model."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from hyperinterp.checkpoints import load_checkpoint
from hyperinterp.errors import InputRefused
from hyperinterp.models.checks import checked
from hyperinterp.models.hooked import HookedModel
from hyperinterp.models.placement import check_spread, check_wide, spread

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_SHORT = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}


def parse_dtype(name: str | torch.dtype) -> torch.dtype:
    """A torch dtype from `float32`, `bfloat16`, `float16` or their short forms.

    Raises:
        InputRefused: another name.
    """
    if isinstance(name, torch.dtype):
        return name
    dtype = DTYPES.get(_SHORT.get(name, name))
    if dtype is None:
        raise InputRefused(f"dtype: expected one of {', '.join(DTYPES)}, found {name!r}")
    return dtype


def pick_device(name: str) -> str:
    """The device to use: `auto` takes CUDA, else the CPU.

    Raises:
        InputRefused: a device that torch does not have here, or one without float64 (mps).
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    check_wide(name)
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        raise InputRefused(
            f"device: expected one that torch has here, found {name!r}; use cpu"
        ) from error
    return name


def load(
    name: str | Path,
    *,
    revision: str | None = None,
    like: str | Path | None = None,
    base: str | Path | None = None,
    base_if_adapter: bool = False,
    dtype: str | torch.dtype = torch.float32,
    device: str = "auto",
    device_map: str | Mapping[str, Any] | None = None,
) -> HookedModel:
    """Load a model by name and check the identities that the measures rely on.

    Args:
        name: a Hugging Face id, a `save_pretrained` directory, a PEFT adapter directory, a
            `.safetensors` file with its config beside it, a GGUF file, a hyperinterp `.pt`
            bundle, a state dict that `torch.save` wrote, or `smollm2`.
        revision: Hub revision.
        like: for a file of weights alone, the checkpoint whose config and tokenizer go with it.
        base: what an adapter sits on, when that is not the model its config names.
        base_if_adapter: pass over `base` where `name` is a whole model, instead of refusing.
        dtype: dtype of the weights.
        device: `auto` (CUDA, else the CPU), `cpu`, `cuda`, `cuda:1`, ...; not `mps`, which has no
            float64.
        device_map: for a model too large for one device: `auto`, `balanced`, `balanced_low_0` or
            `sequential`, or a device per module path. The machine's memory holds the model on
            the way, and keeps what the accelerators have no room for.

    Raises:
        InputRefused: the name or file cannot be used (see the subclasses), or a device beside
            a device map.
        UnsupportedModel: a self-check fails.
        OutOfResources: memory and accelerators together are too small.
    """
    if device_map is not None:
        check_spread(device_map, device)
    checkpoint = load_checkpoint(
        name,
        revision=revision,
        like=like,
        base=base,
        base_if_adapter=base_if_adapter,
        dtype=parse_dtype(dtype),
        device=pick_device(device) if device_map is None else "cpu",
    )
    if device_map is not None:
        spread(checkpoint.model, device_map)
    model = HookedModel(
        checkpoint.model,
        checkpoint.tokenizer,
        name=str(name),
        fingerprint=checkpoint.fingerprint,
        provenance=checkpoint.provenance,
        notes=checkpoint.notes,
    )
    return checked(model)
