"""Unwrap the containers of other libraries: the Hugging Face or peft model inside."""

from collections.abc import Callable
from typing import Any

from peft import PeftModel
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from hyperinterp.errors import InputRefused

EXPECTED = (
    "the name or path of a checkpoint, a transformers or peft model, a TransformerBridge, an "
    "nnsight or nnterp model, or a HookedModel"
)
"""What may stand for a model."""

_KINDS = {
    ("nnsight", "Envoy"): "nnsight",
    ("nnterp", "StandardizedTransformer"): "nnsight",
    ("transformer_lens", "TransformerBridge"): "bridge",
    ("transformer_lens", "HookedTransformer"): "folded",
    ("transformers", "Pipeline"): "model",
    ("torch", "OptimizedModule"): "_orig_mod",
    ("torch", "DataParallel"): "module",
    ("torch", "DistributedDataParallel"): "module",
    ("peft", "PeftMixedModel"): "mixed",
    ("trl", "PreTrainedModelWrapper"): "pretrained_model",
    ("torch", "FullyShardedDataParallel"): "sharded",
    ("deepspeed", "DeepSpeedEngine"): "sharded",
}


def unwrapped(given: Any, role: str) -> tuple[PreTrainedModel | PeftModel, Any]:
    """Return the model inside all containers, and the first tokenizer that one of them holds.

    Args:
        given: a model in memory, in any number of containers.
        role: what to call it in errors.

    Raises:
        InputRefused: no model of transformers or peft is in it, or one whose weights a container
            has changed or spread; says what to pass instead.
    """
    tokenizer = None
    while not isinstance(given, PreTrainedModel | PeftModel):
        kind = _kind(given)
        if kind is None:
            told, remedy = described(given)
            raise InputRefused(f"{role}: expected {EXPECTED}, found {told}; {remedy}")
        tokenizer = tokenizer or _tokenizer_in(given)
        given = _opened(given, kind, role)
    return given, tokenizer


def _kind(given: Any) -> str | None:
    for one in type(given).__mro__:
        kind = _KINDS.get((one.__module__.partition(".")[0], one.__name__))
        if kind is not None:
            return kind
    return None


def _tokenizer_in(given: Any) -> Any:
    found = getattr(given, "tokenizer", None)
    return found if isinstance(found, PreTrainedTokenizerBase) else None


def _opened(given: Any, kind: str, role: str) -> Any:
    opener: Callable[[Any, str], Any] | None = _OPENERS.get(kind)
    return getattr(given, kind) if opener is None else opener(given, role)


def _nnsight(given: Any, role: str) -> Any:
    for name in ("_module", "_model"):
        found = vars(given).get(name)
        if isinstance(found, nn.Module):
            return found
    raise InputRefused(
        f"{role}: expected an nnsight model with its module, found {type(given).__name__} without "
        "one; pass the transformers model that it was made of"
    )


def _bridge(given: Any, role: str) -> Any:
    changed = getattr(given, "_weights_processed", getattr(given, "compatibility_mode", False))
    if changed:
        raise InputRefused(
            f"{role}: expected a TransformerBridge over the model's own weights, found one in "
            "compatibility mode, which folds norms into other weights and centres them; boot it "
            "again and leave enable_compatibility_mode() out, or call it with no_processing=True"
        )
    found = getattr(given, "original_model", None)
    if not isinstance(found, nn.Module):
        raise InputRefused(
            f"{role}: expected a TransformerBridge over a transformers model, found one that runs "
            "elsewhere; name the checkpoint, or pass the transformers model"
        )
    return found


def _folded(given: Any, role: str) -> Any:
    raise InputRefused(
        f"{role}: expected a model with its own weights, found a {type(given).__name__}, whose "
        "weights are folded and laid out otherwise; pass the transformers model or its name"
    )


def _sharded(given: Any, role: str) -> Any:
    raise InputRefused(
        f"{role}: expected a model whose weights are whole in this process, found "
        f"{type(given).__name__}; save it with save_pretrained after gathering, and name the "
        "directory"
    )


def _mixed(given: Any, role: str) -> Any:
    raise InputRefused(
        f"{role}: expected a PeftModel, found a {type(given).__name__}; call merge_and_unload() on "
        "it and pass the whole model"
    )


_OPENERS: dict[str, Callable[[Any, str], Any]] = {
    "nnsight": _nnsight,
    "bridge": _bridge,
    "folded": _folded,
    "mixed": _mixed,
    "sharded": _sharded,
}


def described(given: Any) -> tuple[str, str]:
    """Return a few words for a value that is no model, and what to pass instead."""
    kind = type(given).__name__
    if isinstance(given, type):
        return f"the class {given.__name__}", "make or load one of it first"
    if isinstance(given, PreTrainedTokenizerBase):
        return f"a tokenizer ({kind})", "pass the model"
    if isinstance(given, dict):
        remedy = "load a state dict into a model first (model.load_state_dict), or name its file"
        return "a dict", remedy
    if isinstance(given, nn.Module):
        return f"{kind}, which transformers does not know", "pass the transformers model inside it"
    if isinstance(getattr(given, "model", None), nn.Module):
        return kind, "pass its .model"
    return f"{kind} ({str(given)!r:.40})", "load a model first"
