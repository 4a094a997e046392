"""From a name, or from a model in memory, to a hooked model."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

from hyperinterp.ambient import own_settings
from hyperinterp.checkpoints import Checkpoint, Source, load_checkpoint, weights_fingerprint
from hyperinterp.errors import InputRefused
from hyperinterp.models.checks import checked
from hyperinterp.models.hooked import HookedModel
from hyperinterp.models.placement import check_dtype, check_spread, spread
from hyperinterp.models.views import settle
from hyperinterp.models.wrapping import AnyModel, as_hooked, check_given, check_tokenizer

DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
    "float64": torch.float64,
}
_SHORT = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}


def parse_dtype(name: str | torch.dtype) -> torch.dtype:
    """A torch dtype from `float32`, `bfloat16`, `float16`, `float64` or their short forms.

    Raises:
        InputRefused: another name.
    """
    if isinstance(name, torch.dtype) and name.is_floating_point:
        return name
    dtype = DTYPES.get(_SHORT.get(name, name)) if isinstance(name, str) else None
    if dtype is None:
        raise InputRefused(f"dtype: expected one of {', '.join(DTYPES)}, found {name!r:.80}")
    return dtype


def pick_device(name: str) -> str:
    """The device to use: `auto` takes CUDA, else the CPU; a Mac's mps is for those who name it.

    Raises:
        InputRefused: a device that torch does not have here.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError, TypeError) as error:
        raise InputRefused(
            f"device: expected one that torch has here, found {name!r:.80}; "
            "choose cpu, cuda, cuda:1 or mps"
        ) from error
    return name


@own_settings()
def load(
    name: AnyModel,
    *,
    tokenizer: PreTrainedTokenizerBase | None = None,
    revision: str | None = None,
    subfolder: str | None = None,
    like: str | Path | None = None,
    base: AnyModel | None = None,
    base_if_adapter: bool = False,
    dtype: str | torch.dtype = torch.float32,
    device: str = "auto",
    device_map: str | Mapping[str, Any] | None = None,
) -> HookedModel:
    """Load a model by name, or take one in memory, and check what the measures rely on.

    A model in memory stays as it is: what is measured is a view of it, see
    `hyperinterp.models.wrapping.as_hooked`.

    Args:
        name: a Hugging Face id, a `save_pretrained` directory, the folder of a Trainer run, a
            PEFT adapter directory, a `.safetensors` file with its config beside it, a GGUF file,
            a hyperinterp `.pt` bundle, a state dict that `torch.save` wrote, or `smollm2`; or a
            model in memory: of transformers or peft, a TransformerBridge, an nnsight or nnterp
            model. A Hugging Face id may carry a revision and a folder:
            `owner/name@revision:folder`.
        tokenizer: what to use instead of the tokenizer beside the model.
        revision: commit, branch or tag of a Hugging Face id.
        subfolder: folder inside the repository or directory.
        like: for a file of weights alone, the checkpoint whose config and tokenizer go with it.
        base: what an adapter sits on, when that is not the model its config names; by name or in
            memory.
        base_if_adapter: pass over `base` where `name` is a whole model, and where `base` is an
            adapter itself (`name` then goes on the base that it names), instead of refusing.
        dtype: dtype of the weights, for names.
        device: `auto` (CUDA, else the CPU), `cpu`, `cuda`, `cuda:1`, `mps`, ... For names. On `mps`
            the model runs, and what leaves it is measured on the CPU.
        device_map: for a model too large for one device: `auto`, `balanced`, `balanced_low_0` or
            `sequential`, or a device per module path. The machine's memory holds the model on
            the way, and keeps what the accelerators have no room for. For names.

    Raises:
        InputRefused: the name, file or object cannot be used (see the subclasses), or a device
            beside a device map.
        UnsupportedModel: a self-check fails.
        OutOfResources: memory and accelerators together are too small.
    """
    check_given(name, "model")
    check_tokenizer(tokenizer, "model")
    if isinstance(name, str | Path):
        found = _by_name(
            name, tokenizer, revision=revision, subfolder=subfolder, like=like, base=base,
            base_if_adapter=base_if_adapter, dtype=dtype, device=device, device_map=device_map,
        )  # fmt: skip
        return checked(found)
    for option, value in (
        ("revision", revision),
        ("subfolder", subfolder),
        ("like", like),
        ("base", base),
        ("device_map", device_map),
    ):
        if value is not None:
            raise InputRefused(
                f"{option}: expected none for a model in memory, found {value!r:.80}; leave it out"
            )
    return checked(as_hooked(name, tokenizer=tokenizer))


def taken(
    given: AnyModel,
    role: str,
    *,
    base: AnyModel | None = None,
    identified: bool = True,
    **options: Any,
) -> HookedModel:
    """Return the model in a role of a comparison, loaded by name or taken from memory.

    Args:
        given: a name or a model in memory, as in `load`.
        role: what to call it; a "base" that holds live adapters is taken without them.
        base: what an adapter sits on.
        identified: also find the fingerprint of a model in memory, which reads all its weights.
        options: those of `load` that apply to names: dtype, device, device map, like.
    """
    if isinstance(given, str | Path):
        return load(given, base=base, base_if_adapter=True, **options)
    return as_hooked(given, role=role, as_base=role == "base", identified=identified)


def _by_name(
    name: str | Path,
    tokenizer: PreTrainedTokenizerBase | None,
    *,
    revision: str | None,
    subfolder: str | None,
    like: str | Path | None,
    base: AnyModel | None,
    base_if_adapter: bool,
    dtype: str | torch.dtype,
    device: str,
    device_map: str | Mapping[str, Any] | None,
) -> HookedModel:
    if device_map is not None:
        check_spread(device_map, device)
    wanted, place = parse_dtype(dtype), pick_device(device) if device_map is None else "cpu"
    check_dtype(place, wanted)
    checkpoint = load_checkpoint(
        name,
        revision=revision,
        subfolder=subfolder,
        like=like,
        base=_as_base(base, wanted),
        base_if_adapter=base_if_adapter,
        dtype=wanted,
        device=place,
    )
    settle(checkpoint.model)
    if device_map is not None:
        spread(checkpoint.model, device_map)
    return HookedModel(
        checkpoint.model,
        tokenizer or checkpoint.tokenizer,
        name=checkpoint.source.name,
        fingerprint=checkpoint.fingerprint,
        provenance=checkpoint.provenance,
        notes=checkpoint.notes,
    )


def _as_base(base: AnyModel | None, dtype: torch.dtype) -> str | Path | Checkpoint | None:
    """The base of an adapter as checkpoints know it; one in memory is copied there."""
    if base is None or isinstance(base, str | Path):
        return base
    held = as_hooked(base, role="base", as_base=True)
    if held.dtype != dtype:
        found = str(held.dtype).removeprefix("torch.")
        raise InputRefused(
            f"dtype: expected that of the base in memory, {found}, found "
            f"{str(dtype).removeprefix('torch.')}: pass dtype={found!r}"
        )
    return Checkpoint(
        model=held.hf,
        tokenizer=held.tokenizer,
        source=Source("directory", held.name),
        fingerprint=held.fingerprint or weights_fingerprint(held.hf),
        dtype=held.dtype,
    )
