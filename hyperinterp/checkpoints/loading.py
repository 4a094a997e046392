"""`load_checkpoint`: any name that a user may give, as a model that is ready to be measured."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model_state_dict, set_peft_model_state_dict
from safetensors.torch import load_file
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from hyperinterp.checkpoints.adapters import (
    AdapterInfo,
    check_base_name,
    describe_adapter,
    for_peft,
)
from hyperinterp.checkpoints.building import (
    build_model,
    build_tokenizer,
    check_finite,
    check_vocabulary,
    name_tokenizer,
    no_room,
    quiet_transformers,
)
from hyperinterp.checkpoints.builtin import find_builtin
from hyperinterp.checkpoints.fingerprints import adapter_fingerprint
from hyperinterp.checkpoints.opening import open_source
from hyperinterp.checkpoints.source import Source, resolve
from hyperinterp.checkpoints.staging import Stored
from hyperinterp.errors import InputRefused, MismatchedPair, memory_ran_out

_EMBEDDINGS = ("embed_tokens", "wte", "embed_in", "word_embeddings", "lm_head", "embed_out")


@dataclass
class Checkpoint:
    """A loaded model with where it came from.

    Attributes:
        model: In eval mode. With a live adapter (`merge=False`) the LoRA layers are inside.
        tokenizer: None when the files hold no tokenizer.
        source: What the name stood for.
        fingerprint: Sha256 of the stored tensors, independent of the container. For an adapter:
            of the base's fingerprint, the adapter's tensors and its scale settings.
        adapter: The adapter's facts; None for a whole model.
        provenance: What the writer recorded; empty for foreign files.
        dtype: Of the loaded weights.
        notes: Sentences for the reader of a figure: what was taken, left out or read otherwise
            than the files say.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase | None
    source: Source
    fingerprint: str
    adapter: AdapterInfo | None = None
    provenance: dict[str, Any] = field(default_factory=dict)
    dtype: torch.dtype = torch.float32
    notes: tuple[str, ...] = ()


def load_checkpoint(
    name: str | Path,
    *,
    revision: str | None = None,
    like: str | Path | None = None,
    dtype: torch.dtype = torch.float32,
    device: str | torch.device = "cpu",
    base: str | Path | Checkpoint | None = None,
    base_if_adapter: bool = False,
    merge: bool = True,
    attn_implementation: str | None = None,
) -> Checkpoint:
    """Load a checkpoint from screened bytes only.

    No remote code, no pickle that could run any, no optional kernels; only the kind `hub` may use
    the network.

    Args:
        name: A Hub id, `save_pretrained` directory, PEFT adapter directory, .safetensors file
            beside a config.json, .gguf file, .pt bundle, state dict of torch.save, or `smollm2`.
        revision: Commit, branch or tag of a Hub id.
        like: For a file of weights alone: the checkpoint whose config and tokenizer go with it.
        dtype: Of the weights. An adapter is merged in this dtype too: prefer float32, since in
            bfloat16 a small update can vanish in rounding.
        device: Where the model goes.
        base: For an adapter: its base, instead of the one that it names.
        base_if_adapter: Pass over `base` where a whole model is found, instead of refusing.
        merge: Merge an adapter into plain weights; False keeps its layers live.
        attn_implementation: `eager`, `sdpa` or `flex_attention`; None takes `sdpa` where the
            family supports it.

    Raises:
        InputRefused: The name or the files cannot be used (`UnsafeFile`, `CorruptFile`,
            `MismatchedPair` say why).
        NumericalFault: A weight is NaN or infinite.
        OutOfResources: Memory or disk ran out.
    """
    if not dtype.is_floating_point:
        raise InputRefused(f"dtype: expected a floating-point dtype, found {dtype}; use float32")
    source = resolve(name, revision, like)
    with open_source(source) as stored:
        if stored.adapter is not None:
            found = base if base is not None else _named_base(stored.adapter, source)
            loaded = _load_adapter(
                stored, source, found, like, dtype=dtype, merge=merge, attention=attn_implementation
            )
        elif base is not None and not base_if_adapter:
            raise InputRefused(
                f"{source.name}: is a whole model, a base applies to adapters only; leave base= out"
            )
        else:
            model = build_model(
                stored,
                source.name,
                dtype=dtype,
                attn_implementation=attn_implementation,
                strict=stored.verified or source.kind == "state_dict",
            )
            tokenizer = build_tokenizer(stored, source.name)
            loaded = Checkpoint(model, tokenizer, source, stored.fingerprint)
        loaded.provenance = dict(stored.provenance)
        loaded.notes = tuple(dict.fromkeys((*stored.notes, *loaded.notes)))
    check_vocabulary(loaded.model, loaded.tokenizer, source.name)
    folder = find_builtin(source.name) if source.kind == "builtin" else None
    if folder is not None and loaded.tokenizer is not None:
        name_tokenizer(loaded.tokenizer, source.name, str(folder))
    loaded.dtype = dtype
    _move(loaded, device)
    loaded.model.eval()
    return loaded


def _move(loaded: Checkpoint, device: str | torch.device) -> None:
    try:
        torch.nn.Module.to(loaded.model, device)
    except RuntimeError as error:
        if memory_ran_out(error):
            raise no_room(loaded.source.name) from error
        raise


def _named_base(adapter: Mapping[str, Any], source: Source) -> Checkpoint | str:
    name = adapter.get("base_model_name_or_path")
    if not name:
        raise InputRefused(f"{source.name}: the adapter names no base model; give one (base=)")
    return check_base_name(name)


def _load_adapter(
    stored: Stored,
    source: Source,
    base: Checkpoint | str | Path,
    like: str | Path | None,
    *,
    dtype: torch.dtype,
    merge: bool,
    attention: str | None,
) -> Checkpoint:
    adapter = dict(stored.adapter or {})
    whole = _private_base(base, adapter, like, dtype=dtype, attention=attention)
    recorded = stored.provenance.get("base_fingerprint")
    if recorded is not None and recorded != whole.fingerprint:
        raise MismatchedPair(
            f"{source.name}: the adapter was trained on a base with fingerprint "
            f"{str(recorded)[:12]}, {whole.source.name} has {whole.fingerprint[:12]}"
        )
    _refuse_tied_targets(whole.model, adapter, source.name)
    with quiet_transformers(source.name):
        peft_model = attach_adapter(whole.model, adapter, stored, source.name)
        model: Any = peft_model.get_base_model()
        if merge:
            model = peft_model.merge_and_unload()
            for leftover in ("peft_config", "_hf_peft_config_loaded"):
                model.__dict__.pop(leftover, None)
    check_finite(model, source.name)
    info = describe_adapter(
        adapter,
        fingerprint=stored.fingerprint,
        base_fingerprint=whole.fingerprint,
        merged=merge,
    )
    return Checkpoint(
        model=model,
        tokenizer=build_tokenizer(stored, source.name) or whole.tokenizer,
        source=source,
        fingerprint=adapter_fingerprint(whole.fingerprint, stored.fingerprint, adapter),
        adapter=info,
    )


def _private_base(
    base: Checkpoint | str | Path,
    adapter: Mapping[str, Any],
    like: str | Path | None,
    *,
    dtype: torch.dtype,
    attention: str | None,
) -> Checkpoint:
    """A base model that may be changed in place: a caller's own is copied."""
    if not isinstance(base, Checkpoint):
        revision = adapter.get("revision") if isinstance(base, str) else None
        if revision is not None and resolve(base).kind != "hub":
            revision = None
        loaded = load_checkpoint(
            base, revision=revision, like=like, dtype=dtype, attn_implementation=attention
        )
    elif base.dtype == dtype and attention is None and base.adapter is None:
        loaded = copy.copy(base)
        loaded.model = copy.deepcopy(base.model).to("cpu")  # pyright: ignore
    else:
        loaded = load_checkpoint(
            base.source.path or base.source.name,
            revision=base.source.revision,
            like=base.source.like,
            dtype=dtype,
            attn_implementation=attention,
        )
    if loaded.adapter is not None:
        raise MismatchedPair(
            f"{loaded.source.name}: is itself an adapter, expected a whole model; name that with "
            "base="
        )
    return loaded


def attach_adapter(
    model: PreTrainedModel, adapter: Mapping[str, Any], stored: Stored, what: str
) -> PeftModel:
    """Put LoRA layers into `model` (in place) and fill them from the staged adapter file.

    Raises:
        MismatchedPair: The adapter's tensors do not fit the base (names or shapes).
    """
    try:
        peft_model = PeftModel(model, LoraConfig(**for_peft(adapter)), autocast_adapter_dtype=False)
    except ValueError as error:
        raise MismatchedPair(f"{what}: does not fit the base model: {error}") from error
    expected = get_peft_model_state_dict(peft_model, save_embedding_layers=False)
    _compare_shapes({n: tuple(t.shape) for n, t in expected.items()}, stored, what)
    weights: dict[str, Tensor] = {}
    for path in sorted({t.path for t in stored.tensors.values()}):
        weights.update(load_file(path))
    set_peft_model_state_dict(peft_model, weights)
    return peft_model.eval()


def _compare_shapes(expected: Mapping[str, tuple[int, ...]], stored: Stored, what: str) -> None:
    found = {name: tensor.shape for name, tensor in stored.tensors.items()}
    for verb, names in (
        ("lacks", sorted(set(expected) - set(found))),
        ("has no place for", sorted(set(found) - set(expected))),
    ):
        if names:
            subject = "the adapter" if verb == "lacks" else "the base"
            raise MismatchedPair(
                f"{what}: {subject} {verb} {len(names)} adapter tensors, e.g. {names[0]}"
            )
    for name in sorted(expected):
        if expected[name] != found[name]:
            raise MismatchedPair(
                f"{what}: {name} has shape {list(found[name])}, the base needs "
                f"{list(expected[name])}"
            )


def _refuse_tied_targets(model: PreTrainedModel, adapter: Mapping[str, Any], what: str) -> None:
    if not getattr(model.config, "tie_word_embeddings", False):
        return
    names = [*(adapter.get("modules_to_save") or [])]
    targets = adapter.get("target_modules")
    names += targets if isinstance(targets, list) else []
    for name in names:
        if name.rpartition(".")[2] in _EMBEDDINGS:
            raise InputRefused(
                f"{what}: adapts {name}, which the base ties to its other embedding; "
                "expected only the blocks' linear maps; merge it and save the whole model"
            )
