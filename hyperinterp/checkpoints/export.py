"""`export_bundle`: any checkpoint that we can read, as one `.pt` file."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hyperinterp.checkpoints.building import (
    build_model,
    build_tokenizer,
    library_versions,
    quiet_transformers,
)
from hyperinterp.checkpoints.bundle import stored_texts, write_bundle
from hyperinterp.checkpoints.files import check_target, write_file
from hyperinterp.checkpoints.loading import helped, named_base
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
    subfolder: str | None = None,
    base: str | Path | None = None,
    force: bool = False,
    told: Callable[[str], None] | None = None,
) -> Path:
    """Write a checkpoint as one `.pt` bundle: tensors and JSON texts only.

    A whole model is built once first, so that what cannot be loaded is never exported. An
    adapter stays an adapter: the bundle names its base and carries the base's fingerprint.

    Args:
        name: Anything that `resolve` understands.
        out: The file to write; must end in `.pt`.
        revision: Commit, branch or tag of a Hub id.
        like: For a file of weights alone: the checkpoint whose config and tokenizer go with it.
        subfolder: Folder inside the repository or directory.
        base: For an adapter without a recorded base fingerprint: its base.
        force: Replace an existing file.
        told: Called with each note on what was taken or left out.

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
    source = resolve(name, revision, subfolder, like=like)
    with open_source(source) as stored:
        if told is not None:
            for note in stored.notes:
                told(note)
        tensors = stored.load()
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
    name: str | Path | None = base
    if name is None and recorded is None:
        with helped(what):
            name = named_base(stored.adapter or {})
    if name is None:
        name = str((stored.adapter or {}).get("base_model_name_or_path"))
    if recorded is None or base is not None:
        with open_source(resolve(name)) as base_stored:
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


def _check_finite(tensors: Mapping[str, Tensor], what: str) -> None:
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and tensor.numel():
            low, high = torch.aminmax(tensor.float() if tensor.element_size() == 1 else tensor)
            if not bool(torch.isfinite(low) & torch.isfinite(high)):
                raise NumericalFault(f"{what}: {name} holds NaN or infinity")
