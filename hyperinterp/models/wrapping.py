"""`as_hooked`: a model in memory, whoever holds it, as a hooked model to be measured."""

from pathlib import Path
from typing import Any

import torch
from peft import PeftModel, get_peft_model_state_dict
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from hyperinterp.checkpoints import (
    adapter_fingerprint,
    check_vocabulary,
    nearby_tokenizer,
    tensors_fingerprint,
    weights_fingerprint,
)
from hyperinterp.checkpoints.building import build_outline, check_finite
from hyperinterp.errors import InputRefused, OutOfResources, UnsupportedModel
from hyperinterp.models.containers import unwrapped
from hyperinterp.models.hooked import HookedModel
from hyperinterp.models.live import (
    adapted_modules,
    check_kind,
    is_inside_peft,
    is_on,
    settle_adapters,
    trained_biases,
)
from hyperinterp.models.views import View, settle

AnyModel = Any
"""A name or path, or a model in memory: see `hyperinterp.models.containers.EXPECTED`."""

FLOATS = (torch.float32, torch.bfloat16, torch.float16, torch.float64)
_QUANTISERS = (
    "aqlm", "auto_gptq", "awq", "bitsandbytes", "compressed_tensors", "eetq", "gptqmodel", "hqq",
    "optimum", "quanto", "spqr_quant", "torchao", "vptq",
)  # fmt: skip


def as_hooked(
    given: Any,
    *,
    role: str = "model",
    tokenizer: PreTrainedTokenizerBase | None = None,
    as_base: bool = False,
    identified: bool = True,
) -> HookedModel:
    """Return a model in memory as a hooked model; the object that was given stays as it is.

    Measured is a view: new modules over the same weights, in evaluation mode, without hooks or
    compiled calls. Live adapters are merged into weights of the view's own, in the same way as for
    an adapter that is loaded by name.

    Args:
        given: a transformers or peft model, plain, compiled or in a data-parallel wrapper, a
            TransformerBridge, an nnsight or nnterp model, a pipeline; or a HookedModel, which is
            returned (a view of it, where somebody has put it into training mode).
        role: what to call it in errors and notes.
        tokenizer: its tokenizer, where the object holds none or another one is meant.
        as_base: take a plain model that holds the live layers of a PeftModel for that model's
            base, without its adapters; otherwise such a model is refused.
        identified: also find the fingerprint of its weights; "" where not.

    Raises:
        InputRefused: no model, or one whose weights are not whole, plain and in memory.
        UnsupportedModel: a family or a change of the model that cannot be measured.
        NumericalFault: a weight is NaN or infinite.
        OutOfResources: no memory for the weights that adapters change.
    """
    check_tokenizer(tokenizer, role)
    if isinstance(given, HookedModel):
        return _at_rest(given, role)
    model, inner, held = _opened(given, role)
    off, notes = _adapters_off(model, role, as_base)
    try:
        view, fingerprint, hooks = _measured(model, inner, role, off, identified)
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise OutOfResources(
            f"{role}: memory ran out for the weights that its adapters change; merge them yourself "
            "(merge_and_unload) and pass the whole model"
        ) from error
    name, origin = _called(model, inner)
    if hooks:
        notes.append(
            f"{name}: forward hooks on {len(hooks)} of its modules (the first is {hooks[0]}) were "
            "left out: figures are those of the weights. hyperinterp.HookedModel(model) measures "
            "with hooks."
        )
    found = tokenizer or held or nearby_tokenizer(origin)
    check_vocabulary(view, found, name)
    return HookedModel(view, found, name=name, fingerprint=fingerprint, notes=notes)


def _at_rest(model: HookedModel, role: str) -> HookedModel:
    if not model.hf.training:
        return model
    return HookedModel(
        _plain(View(model.hf), model.hf, role, False),
        model.tokenizer,
        name=model.name,
        fingerprint=model.fingerprint,
        provenance=model.provenance,
        notes=model.notes,
    )


def check_given(given: AnyModel, role: str) -> None:
    """Refuse what stands for no model, before any work; names are looked at when they are loaded.

    Raises:
        InputRefused: as `as_hooked`.
    """
    if not isinstance(given, str | Path | HookedModel):
        _opened(given, role)


def _opened(
    given: AnyModel, role: str
) -> tuple[PreTrainedModel | PeftModel, PreTrainedModel, PreTrainedTokenizerBase | None]:
    """The model inside all containers, the transformers model inside that, and the tokenizer."""
    model, tokenizer = unwrapped(given, role)
    inner: Any = model.get_base_model() if isinstance(model, PeftModel) else model
    _check_weights(model, inner, role)
    check_kind(model, role)
    return model, inner, tokenizer


def check_tokenizer(tokenizer: Any, role: str) -> None:
    """Refuse what is no tokenizer of transformers.

    Raises:
        InputRefused: names what was found.
    """
    if tokenizer is not None and not isinstance(tokenizer, PreTrainedTokenizerBase):
        raise InputRefused(
            f"{role}: tokenizer: expected a tokenizer of transformers, found "
            f"{type(tokenizer).__name__}; load one with AutoTokenizer.from_pretrained"
        )


def _adapters_off(model: nn.Module, role: str, as_base: bool) -> tuple[bool, list[str]]:
    """Return whether live adapters are taken off, with the note that says so."""
    if not is_inside_peft(model):
        return False, []
    if not as_base:
        raise InputRefused(
            f"{role}: expected a whole model or a PeftModel, found {type(model).__name__} with the "
            "layers of a PeftModel in it; pass the PeftModel to measure it with its adapters, or "
            "inside `with peft_model.disable_adapter():` without them"
        )
    if trained_biases(model):
        raise InputRefused(
            f"{role}: expected the base of an adapter as it was, found biases that the adapter "
            "trained in place; load the base anew (AutoModelForCausalLM.from_pretrained)"
        )
    return True, [f"The {role} holds live adapters; it was measured without them."]


def _measured(
    model: PreTrainedModel | PeftModel,
    inner: PreTrainedModel,
    role: str,
    off: bool,
    identified: bool,
) -> tuple[PreTrainedModel, str, list[str]]:
    """A view with its adapters settled, its fingerprint, and where hooks were left out."""
    viewer = View(inner)
    view = _plain(viewer, inner, role, off)
    check_finite(view, role)
    if not identified or any(weight.is_meta for weight in view.parameters()):
        return view, "", viewer.hooks  # on meta: waits where only its device map brings it from
    adapter = _single_adapter(model)
    if adapter is None:
        return view, weights_fingerprint(view), viewer.hooks
    assert isinstance(model, PeftModel)
    base = weights_fingerprint(_plain(View(inner), inner, role, True))
    state = get_peft_model_state_dict(model, adapter_name=adapter, save_embedding_layers=False)
    config = model.peft_config[adapter].to_dict()
    told = adapter_fingerprint(base, tensors_fingerprint(state), config)
    return view, told, viewer.hooks


def _plain(viewer: View, inner: PreTrainedModel, role: str, off: bool) -> PreTrainedModel:
    view = viewer.of(inner)
    settle_adapters(view, role, off=off)
    settle(view)
    if any(type(module).__module__.startswith("transformer_lens") for module in inner.modules()):
        _drop_additions(view)
    return view.eval()


def _drop_additions(view: PreTrainedModel) -> None:
    """Take off the zeros that a bridge adds where the family has no parameter (a head's bias)."""
    known = build_outline(view.config).state_dict()
    for name, tensor in view.state_dict().items():
        if name not in known and not bool(tensor.any()):
            parent, _, own = name.rpartition(".")
            module = view.get_submodule(parent)
            delattr(module, own)
            module.register_parameter(own, None)


def _single_adapter(model: PreTrainedModel | PeftModel) -> str | None:
    """The one adapter of a PeftModel that is on; None where the weights say more."""
    if not isinstance(model, PeftModel) or not all(
        is_on(module) for _, module in adapted_modules(model)
    ):
        return None
    names = list(model.active_adapters)
    if len(names) != 1 or trained_biases(model):
        return None
    merged = any(getattr(module, "merged", False) for _, module in adapted_modules(model))
    return None if merged else names[0]


def _called(model: nn.Module, inner: PreTrainedModel) -> tuple[str, str]:
    """Return a model's name, and the origin of its weights ("" when it does not say)."""
    kind, origin = type(model).__name__, str(getattr(inner, "name_or_path", "") or "")
    return f"{kind} in memory" + (f", of {origin}" if origin else ""), origin


def _check_weights(model: nn.Module, hf: Any, role: str) -> None:
    """Refuse, before any work, weights that are missing, packed or in pieces."""
    if not isinstance(hf, PreTrainedModel):
        raise InputRefused(
            f"{role}: expected a causal language model of transformers, found a "
            f"{type(hf).__name__} in a {type(model).__name__}; make it with AutoModelForCausalLM"
        )
    if hf.get_output_embeddings() is None:
        raise UnsupportedModel(
            f"{role}: expected a causal language model, found {type(hf).__name__}, which has no "
            "head over a vocabulary; load it with AutoModelForCausalLM"
        )
    weights = dict(hf.named_parameters())
    moved = any(hasattr(module, "_hf_hook") for module in hf.modules())
    if weights and not moved and all(weight.is_meta for weight in weights.values()):
        raise InputRefused(
            f"{role}: expected weights in memory, found {type(hf).__name__} on the meta device, "
            "without any; load it with from_pretrained (in nnsight, with dispatch=True)"
        )
    for path, module in hf.named_modules():
        where = type(module).__module__
        if where.partition(".")[0] in _QUANTISERS or ".quantized" in where:
            raise _packed(role, f"{type(module).__name__} at {path}")
    for name, weight in weights.items():
        if hasattr(weight, "placements"):
            raise InputRefused(
                f"{role}: expected weights that are whole in this process, found {name} spread "
                "over several; save the model, and name the directory"
            )
        plain = type(weight) in (nn.Parameter, Tensor)
        if not plain or weight.dtype not in FLOATS:
            raise _packed(role, f"{name} as {type(weight).__name__} of {weight.dtype}")


def _packed(role: str, found: str) -> InputRefused:
    return InputRefused(
        f"{role}: expected weights in float32, bfloat16, float16 or float64, found quantised ones "
        f"({found}); load the model without quantisation, or call model.dequantize() first"
    )
