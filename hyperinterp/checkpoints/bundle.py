"""The `.pt` bundle: one file with tensors and JSON texts only, checked from both ends."""

import contextlib
import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import load_file
from torch import Tensor

from hyperinterp.checkpoints.files import translate_io_errors
from hyperinterp.checkpoints.manifest import canonical_json
from hyperinterp.checkpoints.sandbox import convert_untrusted
from hyperinterp.checkpoints.screen import parse_json, read_text
from hyperinterp.checkpoints.source import Source
from hyperinterp.checkpoints.staging import (
    CONFIGS,
    TOKENIZER_TEXTS,
    Stored,
    private_directory,
    stage_directory,
)
from hyperinterp.checkpoints.zipscreen import TRAILER, screen_bundle
from hyperinterp.errors import CorruptFile, InputRefused, UnsafeFile

FORMAT, FORMAT_VERSION = "hyperinterp-bundle", "1"
_MAX_TEXTS = 1 << 30


@dataclass(frozen=True)
class Bundle:
    """The content of a `.pt` bundle.

    Attributes:
        kind: `whole` or `adapter`.
        tensors: By stored name.
        texts: By file name (config.json, tokenizer.json, ...).
        provenance: What the writer recorded.
        fingerprint: Of the tensors; equals that of the directory it was exported from.
        base_fingerprint: For an adapter: that of its base.
        digests: Sha256 of each tensor.
    """

    kind: str
    tensors: Mapping[str, Tensor]
    texts: Mapping[str, str]
    provenance: Mapping[str, Any]
    fingerprint: str
    base_fingerprint: str | None
    digests: Mapping[str, str]


def read_bundle(path: str | Path) -> Bundle:
    """Read a bundle's tensors and texts, in a limited child process, with every digest checked.

    Raises:
        UnsafeFile: It is not a bundle of ours, or could run code, hang or explode.
        CorruptFile: Truncated, or a digest does not match.
    """
    file = Path(path)
    if not file.is_file():
        raise InputRefused(f"{file}: no such file; correct its name")
    with stage_bundle(Source("bundle", str(path), file), file) as stored:
        paths = sorted({t.path for t in stored.tensors.values()})
        # A copy: the mapped file goes away with the private directory.
        tensors = {n: t.clone() for part in paths for n, t in load_file(part).items()}
        texts = {p.name: p.read_text(encoding="utf-8") for p in _texts(stored.root)}
        return Bundle(
            kind="whole" if stored.adapter is None else "adapter",
            tensors=tensors,
            texts=texts,
            provenance=stored.provenance,
            fingerprint=stored.fingerprint,
            base_fingerprint=stored.provenance.get("base_fingerprint"),
            digests=stored.digests,
        )


@contextlib.contextmanager
def stage_bundle(source: Source, path: Path) -> Iterator[Stored]:
    """Screen, convert and stage a bundle, then check its tensors against its own digests."""
    screen_bundle(path)
    with private_directory() as folder:
        convert_untrusted(path, folder)
        meta = _unpack(path, folder)
        with stage_directory(source, folder) as stored:
            if dict(stored.digests) != meta["digests"] or stored.fingerprint != meta["fingerprint"]:
                raise CorruptFile(f"{path}: a tensor differs from the digest recorded for it")
            yield replace(stored, provenance=meta["provenance"], verified=True)


def write_bundle(
    handle: io.BufferedIOBase,
    *,
    kind: str,
    tensors: Mapping[str, Tensor],
    texts: Mapping[str, str],
    meta: Mapping[str, Any],
) -> None:
    """Write a bundle: `torch.save`, then the digest of all those bytes as the zip comment."""
    payload = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "kind": kind,
        "meta": canonical_json(meta),
        "texts": dict(texts),
        "tensors": share_equal(tensors, meta["digests"]),
    }
    torch.save(payload, cast(Any, handle))
    seal(handle)


def seal(handle: io.BufferedIOBase) -> None:
    """Append the whole-file digest to a zip file without a comment, as its comment."""
    handle.seek(-2, 2)
    handle.write((len(TRAILER) + 64).to_bytes(2, "little"))
    handle.seek(0)
    digest = hashlib.file_digest(cast(Any, handle), "sha256").hexdigest()
    handle.seek(0, 2)
    handle.write(TRAILER + digest.encode())
    handle.flush()


def share_equal(tensors: Mapping[str, Tensor], digests: Mapping[str, str]) -> dict[str, Tensor]:
    """The tensors with storages of their own size; equal ones (tied weights) share one storage."""
    seen: dict[tuple[str, torch.dtype, torch.Size], Tensor] = {}
    shared: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        key = (digests[name], tensor.dtype, tensor.shape)
        if key not in seen:
            whole = tensor.untyped_storage().nbytes() == tensor.numel() * tensor.element_size()
            seen[key] = tensor.contiguous() if whole else tensor.clone().contiguous()
        shared[name] = seen[key]
    return shared


def _unpack(path: Path, folder: Path) -> dict[str, Any]:
    """Turn the child's output into a directory of the usual shape; return the bundle's meta."""
    raw = json.loads(read_text(folder / "texts.json", _MAX_TEXTS))
    if raw["format"] != FORMAT or raw["format_version"] != FORMAT_VERSION:
        found = f"{raw['format']!r:.40} version {raw['format_version']!r:.40}"
        raise InputRefused(f"{path}: expected {FORMAT} version {FORMAT_VERSION}, found {found}")
    if raw["kind"] not in ("whole", "adapter"):
        raise UnsafeFile(f"{path}: expected kind whole or adapter, found {raw['kind']!r:.40}")
    meta = parse_json(raw["meta"], f"{path} meta", finite=True)
    expected = {"digests": dict, "fingerprint": str, "provenance": dict}
    if {k: type(meta.get(k)) for k in expected} != expected:
        raise UnsafeFile(f"{path}: its meta lacks digests, a fingerprint or provenance")
    needed = "config.json" if raw["kind"] == "whole" else "adapter_config.json"
    if needed not in raw["texts"] or (raw["kind"] == "whole") == (
        "adapter_config.json" in raw["texts"]
    ):
        raise UnsafeFile(f"{path}: a bundle of kind {raw['kind']} needs {needed}")
    for name, text in raw["texts"].items():
        if name not in (*CONFIGS, *TOKENIZER_TEXTS):
            raise UnsafeFile(f"{path}: unexpected text {name!r:.80} in it")
        (folder / name).write_text(text, encoding="utf-8")
    stem = "model" if raw["kind"] == "whole" else "adapter_model"
    with translate_io_errors(folder):
        (folder / "tensors.safetensors").rename(folder / f"{stem}.safetensors")
        (folder / "texts.json").unlink()
    return meta


def _texts(root: Path) -> list[Path]:
    return [root / n for n in (*CONFIGS, *TOKENIZER_TEXTS) if (root / n).is_file()]


def stored_texts(stored: Stored) -> dict[str, str]:
    """The texts of a staged checkpoint, by file name."""
    return {path.name: path.read_text(encoding="utf-8") for path in _texts(stored.root)}
