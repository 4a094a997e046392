"""`inspect_checkpoint`: what a checkpoint is, without building the model."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hyperinterp.checkpoints.adapters import AdapterInfo, describe_adapter
from hyperinterp.checkpoints.building import (
    build_outline,
    build_tokenizer,
    check_capacity,
    quiet_transformers,
    read_config,
)
from hyperinterp.checkpoints.opening import open_source
from hyperinterp.checkpoints.quantised import packed
from hyperinterp.checkpoints.source import Kind, check_like, resolve
from hyperinterp.checkpoints.staging import Stored


@dataclass(frozen=True)
class CheckpointSummary:
    """The facts that `hyperinterp inspect` prints.

    Attributes:
        name: As given.
        kind: As resolved.
        architecture: Class of the model; `LoRA adapter` for an adapter.
        parameters: Number of weights, tied ones once; for an adapter, those it stores.
        layers: Number of blocks; None for an adapter.
        d_model: Width of the residual stream; None for an adapter.
        vocabulary: Rows of the embedding; None for an adapter.
        dtype: The stored dtypes, most bytes first, e.g. `F32` or `BF16+F32`.
        tied: Whether embedding and unembedding are one tensor; None for an adapter.
        tokenizer: Class of the tokenizer; None without one.
        fingerprint: Of the stored tensors.
        stored_bytes: Size of the weights.
        verified: Whether every byte matched a digest that the writer recorded.
        adapter: The adapter's facts; None for a whole model.
        provenance: What the writer recorded; empty for foreign files.
        notes: Sentences for the reader: what was taken, left out or read otherwise.
    """

    name: str
    kind: Kind
    architecture: str
    parameters: int
    layers: int | None
    d_model: int | None
    vocabulary: int | None
    dtype: str
    tied: bool | None
    tokenizer: str | None
    fingerprint: str
    stored_bytes: int
    verified: bool
    adapter: AdapterInfo | None = None
    provenance: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def inspect_checkpoint(
    name: str | Path,
    revision: str | None = None,
    subfolder: str | None = None,
    like: str | Path | None = None,
) -> CheckpointSummary:
    """Describe a checkpoint; every digest that was recorded is checked, no model is built.

    Args:
        name: Anything that `resolve` understands.
        revision: Commit, branch or tag of a Hub id.
        subfolder: Folder inside the repository or directory.
        like: For a file of weights alone: the checkpoint whose config and tokenizer go with it.

    Raises:
        InputRefused: The name or the files cannot be used.
    """
    check_like(like, name)
    source = resolve(name, revision, subfolder, like=like)
    with open_source(source) as stored:
        tokenizer = build_tokenizer(stored, source.name)
        facts = _adapter_facts(stored) if stored.adapter else _model_facts(stored, source.name)
        return CheckpointSummary(
            name=source.name,
            kind=source.kind,
            dtype=_dtypes(stored),
            tokenizer=None if tokenizer is None else type(tokenizer).__name__,
            fingerprint=stored.fingerprint,
            stored_bytes=sum(t.size for t in stored.tensors.values()),
            verified=stored.verified,
            provenance=dict(stored.provenance),
            notes=stored.notes,
            **facts,
        )


def _model_facts(stored: Stored, what: str) -> dict[str, Any]:
    with quiet_transformers(what):
        config = read_config(stored.root)
        outline = build_outline(config)
        check_capacity(outline, stored.tensors, what, packed=packed(stored.config))
    text: Any = config.get_text_config()
    return {
        "architecture": type(outline).__name__,
        "parameters": sum(p.numel() for p in outline.parameters()),
        "layers": getattr(text, "num_hidden_layers", None),
        "d_model": getattr(text, "hidden_size", None),
        "vocabulary": getattr(text, "vocab_size", None),
        "tied": bool(getattr(text, "tie_word_embeddings", False)),
    }


def _adapter_facts(stored: Stored) -> dict[str, Any]:
    info = describe_adapter(
        stored.adapter or {},
        stored.tensors,
        fingerprint=stored.fingerprint,
        base_fingerprint=stored.provenance.get("base_fingerprint"),
        merged=False,
    )
    return {
        "architecture": "LoRA adapter",
        "parameters": sum(t.elements for t in stored.tensors.values()),
        "layers": None,
        "d_model": None,
        "vocabulary": None,
        "tied": None,
        "adapter": info,
    }


def _dtypes(stored: Stored) -> str:
    sizes: dict[str, int] = {}
    for tensor in stored.tensors.values():
        sizes[tensor.dtype] = sizes.get(tensor.dtype, 0) + tensor.size
    return "+".join(sorted(sizes, key=lambda d: -sizes[d]))
