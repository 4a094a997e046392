"""The model that a run starts from: loaded by name, or a copy of one in memory."""

import copy
from pathlib import Path
from typing import Any

import torch

from hyperinterp.checkpoints import weights_fingerprint
from hyperinterp.errors import InputRefused
from hyperinterp.models import AnyModel, HookedModel, checked, load, taken


def prepared(
    model: AnyModel,
    *,
    base: AnyModel | None,
    like: str | Path | None,
    device: str,
) -> HookedModel:
    """Return a model in float32 that may be trained; one that the caller keeps is copied.

    Args:
        model: a name, or a model in memory. A HookedModel is returned as it is.
        base: what an adapter given as `model` sits on.
        like: for a state dict, the checkpoint with its config and tokenizer.
        device: for names.

    Raises:
        InputRefused: it cannot be used, or a HookedModel is not in float32.
    """
    if isinstance(model, str | Path):
        return load(model, base=base, like=like, dtype="float32", device=device)
    held = checked(taken(model, "model"))
    if not isinstance(model, HookedModel):
        # Named after where its weights came from, which is what an adapter has to name.
        named = str(getattr(held.hf, "name_or_path", "") or held.name)
        return _again(held, copy.deepcopy(held.hf).float(), named)
    if held.dtype != torch.float32:
        raise InputRefused(
            f"train: expected a model in float32 (the master weights), found {held.dtype}; pass "
            "the transformers model, of which a float32 copy is trained; dtype='bfloat16' computes "
            "in bf16"
        )
    return held


def own(model: HookedModel, *, copied: bool) -> HookedModel:
    """Return a hooked model of the run's own, with weights of its own where they will change."""
    return _again(model, copy.deepcopy(model.hf) if copied else model.hf, model.name)


def _again(model: HookedModel, hf: Any, name: str) -> HookedModel:
    return HookedModel(
        hf,
        model.tokenizer,
        name=name,
        fingerprint=model.fingerprint or weights_fingerprint(model.hf),
        provenance=model.provenance,
        notes=model.notes,
    )
