"""`load_checkpoint`: any name that a user may give, as a model that is ready to be measured."""

import contextlib
import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from hyperinterp.checkpoints.adapters import (
    AdapterInfo,
    check_base_name,
    describe_adapter,
)
from hyperinterp.checkpoints.attaching import attach_adapter, merged
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
from hyperinterp.checkpoints.naming import is_hub_id
from hyperinterp.checkpoints.opening import open_source
from hyperinterp.checkpoints.screen import one_line
from hyperinterp.checkpoints.source import Source, resolve
from hyperinterp.checkpoints.staging import Stored
from hyperinterp.errors import InputRefused, MismatchedPair, memory_ran_out


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
    subfolder: str | None = None,
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
        name: A Hub id, `save_pretrained` directory, folder of a Trainer run, PEFT adapter
            directory, .safetensors file beside a config.json, .gguf file, .pt bundle, state
            dict of torch.save, or `smollm2`. A Hub id may carry a revision and a folder:
            `owner/name@revision:folder`.
        revision: Commit, branch or tag of a Hub id.
        subfolder: Folder inside the repository or directory.
        like: For a file of weights alone: the checkpoint whose config and tokenizer go with it.
        dtype: Of the weights. An adapter is merged in this dtype too: prefer float32, since in
            bfloat16 a small update can vanish in rounding.
        device: Where the model goes.
        base: For an adapter: its base, instead of the one that it names.
        base_if_adapter: Pass over `base` where a whole model is found, and where `base` is an
            adapter itself (then `name` goes on the base that it names), instead of refusing.
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
        raise InputRefused(
            f"dtype: expected a floating-point dtype, found {dtype}; name float32 or bfloat16"
        )
    source = resolve(name, revision, subfolder, like=like)
    with open_source(source) as stored:
        if stored.adapter is not None:
            if base_if_adapter and isinstance(base, str | Path) and is_adapter(base):
                base = None
            loaded = _load_adapter(
                stored, source, base, like, dtype=dtype, merge=merge, attention=attn_implementation
            )
        elif base is not None and not base_if_adapter:
            raise InputRefused(
                f"{source.name}: is a whole model, a base applies to adapters only; leave base out"
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


def is_adapter(name: str | Path) -> bool:
    """Return whether a name stands for an adapter rather than a whole model.

    Raises:
        InputRefused: The name or its files cannot be used.
    """
    source = resolve(name)
    if source.kind in ("directory", "adapter"):
        return source.kind == "adapter"
    if source.kind not in ("hub", "bundle"):
        return False
    with open_source(source) as stored:
        return stored.adapter is not None


def named_base(adapter: Mapping[str, Any]) -> str:
    """Return the name of the base that an adapter names, with the revision that it names.

    Raises:
        InputRefused: It names none, or one that cannot be followed.
    """
    name = adapter.get("base_model_name_or_path")
    if not name:
        raise InputRefused("base_model_name_or_path is missing; write it into adapter_config.json")
    base = resolve(check_base_name(name))
    revision = adapter.get("revision")
    if base.kind != "hub" or revision is None or base.revision is not None:
        return base.name
    return resolve(name, revision).name


@contextlib.contextmanager
def helped(what: str) -> Iterator[None]:
    """Say of a refused base that it is the one that the adapter names, and what helps."""
    try:
        yield
    except InputRefused as error:
        raise type(error)(
            f"{what}: the base that the adapter names cannot be used: {error}; give another one "
            "(base=, --base, or as BASE of a comparison)"
        ) from error


def _load_adapter(
    stored: Stored,
    source: Source,
    base: Checkpoint | str | Path | None,
    like: str | Path | None,
    *,
    dtype: torch.dtype,
    merge: bool,
    attention: str | None,
) -> Checkpoint:
    adapter = dict(stored.adapter or {})
    if base is None:
        with helped(source.name):
            named = named_base(adapter)
            whole = _private_base(named, like, dtype=dtype, attention=attention)
    else:
        whole = _private_base(base, like, dtype=dtype, attention=attention)
    recorded = stored.provenance.get("base_fingerprint")
    if recorded is not None and recorded != whole.fingerprint:
        raise MismatchedPair(
            f"{source.name}: the adapter was trained on a base with fingerprint "
            f"{str(recorded)[:12]}, {whole.source.name} has {whole.fingerprint[:12]}; name the "
            "base that it was trained on"
        )
    with quiet_transformers(source.name):
        peft_model = attach_adapter(whole.model, adapter, stored, source.name)
        model: Any = merged(peft_model) if merge else peft_model.get_base_model()
    check_finite(model, source.name)
    info = describe_adapter(
        adapter,
        stored.tensors,
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
        notes=(*whole.notes, *_other_base(adapter, source, whole, recorded)),
    )


def _other_base(
    adapter: Mapping[str, Any], source: Source, whole: Checkpoint, recorded: object
) -> tuple[str, ...]:
    """A note where the adapter names another base than the one it was put on."""
    said, revision = adapter.get("base_model_name_or_path"), adapter.get("revision")
    if recorded is not None or said is None:
        return ()
    wanted = f"{said}@{revision}" if revision and is_hub_id(said) else said
    if whole.source.name in (wanted, said) or _same_place(said, whole.source):
        return ()
    shown = one_line(Exception(wanted), 160)
    return (f"{source.name}: names the base {shown}; it was put on {whole.source.name}.",)


def _same_place(said: str, source: Source) -> bool:
    path = Path(said)
    try:
        return source.path is not None and path.exists() and path.samefile(source.path)
    except OSError:
        return False


def _private_base(
    base: Checkpoint | str | Path,
    like: str | Path | None,
    *,
    dtype: torch.dtype,
    attention: str | None,
) -> Checkpoint:
    """A base model that may be changed in place: a caller's own is copied."""
    if not isinstance(base, Checkpoint):
        loaded = load_checkpoint(base, like=like, dtype=dtype, attn_implementation=attention)
    elif base.dtype == dtype and attention is None and base.adapter is None:
        loaded = copy.copy(base)
        loaded.model = copy.deepcopy(base.model).to("cpu")  # pyright: ignore
    else:
        loaded = load_checkpoint(
            base.source.path or base.source.name,
            like=base.source.like,
            dtype=dtype,
            attn_implementation=attention,
        )
    if loaded.adapter is not None:
        raise MismatchedPair(
            f"{loaded.source.name}: is itself an adapter, expected a whole model; name the "
            "base that it sits on"
        )
    return loaded
