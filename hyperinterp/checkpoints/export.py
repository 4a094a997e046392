"""`export_bundle`: any checkpoint that we can read, as one `.pt` file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from hyperinterp.checkpoints.adapters import check_base_name
from hyperinterp.checkpoints.building import (
    build_model,
    build_tokenizer,
    library_versions,
    quiet_transformers,
)
from hyperinterp.checkpoints.bundle import stored_texts, write_bundle
from hyperinterp.checkpoints.files import check_target, write_file
from hyperinterp.checkpoints.opening import open_source
from hyperinterp.checkpoints.source import check_like, resolve
from hyperinterp.checkpoints.staging import TOKENIZER_TEXTS, Stored, private_directory
from hyperinterp.errors import InputRefused, MismatchedPair, NumericalFault


def export_bundle(
    name: str | Path,
    out: str | Path,
    *,
    revision: str | None = None,
    like: str | Path | None = None,
    base: str | Path | None = None,
    force: bool = False,
) -> Path:
    """Write a checkpoint as one `.pt` bundle: tensors and JSON texts only.

    A whole model is built once first, so that what cannot be loaded is never exported. An
    adapter stays an adapter: the bundle names its base and carries the base's fingerprint.

    Args:
        name: Anything that `resolve` understands.
        out: The file to write; must end in `.pt`.
        revision: Commit, branch or tag of a Hub id.
        like: For a file of weights alone: the checkpoint whose config and tokenizer go with it.
        base: For an adapter without a recorded base fingerprint: its base.
        force: Replace an existing file.

    Raises:
        InputRefused: The checkpoint cannot be read, or `out` exists or is not a `.pt` name.
        NumericalFault: A weight is NaN or infinite.
        OutOfResources: The disk is full.
    """
    target = Path(out)
    if target.suffix != ".pt":
        raise InputRefused(f"{target}: expected a name that ends in .pt; add it")
    check_target(target, force=force, directory=False)
    check_like(like, name)
    source = resolve(name, revision, like)
    with open_source(source) as stored:
        tensors = {n: t for p in _shards(stored) for n, t in load_file(p).items()}
        _check_finite(tensors, source.name)
        provenance = {"exported_with": library_versions(), **stored.provenance}
        if stored.adapter is None:
            build_model(
                stored, source.name, dtype=torch.float32, attn_implementation=None, strict=True
            )
        else:
            provenance.update(_base_facts(stored, base, source.name))
        texts = _complete_texts(stored, source.name)

        def write(partial: Path) -> None:
            with partial.open("x+b") as handle:
                write_bundle(
                    handle,
                    kind="whole" if stored.adapter is None else "adapter",
                    tensors=tensors,
                    texts=texts,
                    meta={
                        "digests": dict(stored.digests),
                        "fingerprint": stored.fingerprint,
                        "provenance": provenance,
                    },
                )

        return write_file(target, write, force=force)


def _base_facts(stored: Stored, base: str | Path | None, what: str) -> dict[str, Any]:
    """Name and fingerprint of an adapter's base: as recorded, else measured on the base."""
    recorded = stored.provenance.get("base_fingerprint")
    name = base if base is not None else (stored.adapter or {}).get("base_model_name_or_path")
    if name is None:
        raise InputRefused(f"{what}: the adapter names no base model; give one (base=)")
    if recorded is None or base is not None:
        checked = check_base_name(name) if isinstance(name, str) else name
        with open_source(resolve(checked)) as base_stored:
            found = base_stored.fingerprint
        if recorded not in (None, found):
            raise MismatchedPair(
                f"{what}: trained on a base with fingerprint {recorded[:12]}, "
                f"{name} has {found[:12]}"
            )
        recorded = found
    return {"base_name": str(name), "base_fingerprint": recorded}


def _complete_texts(stored: Stored, what: str) -> dict[str, str]:
    """The stored texts; a tokenizer that is not in text form is rewritten as tokenizer.json."""
    texts = stored_texts(stored)
    if "tokenizer.json" in texts or not stored.has_tokenizer:
        return texts
    tokenizer = build_tokenizer(stored, what)
    with private_directory() as folder, quiet_transformers(what):
        if tokenizer is not None:
            tokenizer.save_pretrained(folder)
        fresh = [folder / n for n in TOKENIZER_TEXTS if (folder / n).is_file()]
        if folder / "tokenizer.json" not in fresh:
            raise InputRefused(
                f"{what}: its tokenizer cannot be written as tokenizer.json; save a fast one "
                "beside it"
            )
        kept = {n: t for n, t in texts.items() if n not in TOKENIZER_TEXTS}
        return {**kept, **{p.name: p.read_text(encoding="utf-8") for p in fresh}}


def _shards(stored: Stored) -> list[Path]:
    return sorted({tensor.path for tensor in stored.tensors.values()})


def _check_finite(tensors: Mapping[str, Tensor], what: str) -> None:
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and tensor.numel():
            low, high = torch.aminmax(tensor.float() if tensor.element_size() == 1 else tensor)
            if not bool(torch.isfinite(low) & torch.isfinite(high)):
                raise NumericalFault(f"{what}: {name} holds NaN or infinity")
