"""Safetensors files read as bytes: headers, shard indexes, and the fingerprint of a model."""

import hashlib
import math
import os
import re
import struct
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from hyperinterp.checkpoints.screen import parse_json, read_text
from hyperinterp.errors import CorruptFile, UnsafeFile

MAX_HEADER_BYTES = 64 << 20
MAX_TENSORS = 500_000
ITEM_BYTES = {
    "F64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1,
    "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1,
}  # fmt: skip
_PLAIN_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,200}")
_CHUNK = 8 << 20


@dataclass(frozen=True)
class StoredTensor:
    """One tensor of a safetensors file: where its bytes lie and what they are."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    path: Path
    start: int
    size: int

    @property
    def elements(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


def read_header(path: Path) -> dict[str, StoredTensor]:
    """Names, dtypes, shapes and byte ranges of a safetensors file, checked against its size.

    Raises:
        CorruptFile: Truncated, or the ranges do not tile the file exactly.
        UnsafeFile: The header is larger than 64 MiB, or names are not plain.
    """
    total = path.stat().st_size
    with path.open("rb") as handle:
        prefix = handle.read(8)
        if len(prefix) < 8:
            raise CorruptFile(f"{path}: expected a safetensors header, found {total} bytes")
        (length,) = struct.unpack("<Q", prefix)
        if length > total - 8:
            raise CorruptFile(f"{path}: its header asks for {length} bytes, the file has {total}")
        if length > MAX_HEADER_BYTES:
            raise UnsafeFile(f"{path}: header of {length} bytes, at most {MAX_HEADER_BYTES}")
        raw = handle.read(length)
    try:
        header = parse_json(raw.decode("utf-8"), f"{path} header")
    except UnicodeDecodeError as error:
        raise CorruptFile(f"{path}: its header is not UTF-8 text") from error
    header.pop("__metadata__", None)
    if len(header) > MAX_TENSORS:
        raise UnsafeFile(f"{path}: {len(header)} tensors; at most {MAX_TENSORS}")
    tensors = {name: _entry(path, name, entry, 8 + length) for name, entry in header.items()}
    position = 8 + length
    for tensor in sorted(tensors.values(), key=lambda t: (t.start, t.size)):
        if tensor.start != position:
            raise CorruptFile(f"{path}: {tensor.name} overlaps another tensor or leaves a gap")
        position += tensor.size
    if position != total:
        raise CorruptFile(f"{path}: expected {position} bytes, found {total} (truncated?)")
    return tensors


def read_headers(paths: Iterable[Path]) -> dict[str, StoredTensor]:
    """The headers of all shards as one mapping.

    Raises:
        CorruptFile: A name is stored in two shards, or there is no tensor at all.
    """
    merged: dict[str, StoredTensor] = {}
    for path in paths:
        for name, tensor in read_header(path).items():
            if name in merged:
                raise CorruptFile(f"{path}: {name} is also stored in {merged[name].path.name}")
            merged[name] = tensor
    if not merged:
        raise CorruptFile("the weights files hold no tensors")
    return merged


def index_shards(index: Path, suffix: str = ".safetensors") -> list[str]:
    """File names of a shard index: plain names beside the index, all with one suffix.

    Raises:
        UnsafeFile: A name has a folder, `..` or an unexpected suffix.
    """
    raw = parse_json(read_text(index, MAX_HEADER_BYTES), index.name)
    names = raw.get("weight_map")
    if not isinstance(names, dict) or not names:
        raise CorruptFile(f"{index}: expected a weight_map, found none")
    for name in names.values():
        plain = isinstance(name, str) and _PLAIN_FILE.fullmatch(name) and name.endswith(suffix)
        if not plain:
            raise UnsafeFile(f"{index}: shard names must be plain *{suffix}, found {name!r:.80}")
    return sorted(set(names.values()))


def tensor_digest(tensor: StoredTensor) -> str:
    """Sha256 of one tensor's stored bytes, as hex."""
    digest = hashlib.sha256()
    with tensor.path.open("rb") as handle:
        handle.seek(tensor.start)
        left = tensor.size
        while left:
            chunk = handle.read(min(left, _CHUNK))
            if not chunk:
                raise CorruptFile(f"{tensor.path}: truncated inside {tensor.name}")
            digest.update(chunk)
            left -= len(chunk)
    return digest.hexdigest()


def tensor_digests(tensors: Mapping[str, StoredTensor]) -> dict[str, str]:
    """Digest of each tensor, on as many threads as there are cores (at most 8)."""
    items = list(tensors.items())
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        return dict(
            zip([n for n, _ in items], pool.map(tensor_digest, [t for _, t in items]), strict=True)
        )


def fingerprint(tensors: Mapping[str, StoredTensor], digests: Mapping[str, str]) -> str:
    """Sha256 over the sorted (name, dtype, shape, content digest) of all stored tensors.

    It does not depend on the container: a directory, its shards and the bundle exported from it
    have the same fingerprint.
    """
    total = hashlib.sha256(b"hyperinterp-fingerprint-1\n")
    for name in sorted(tensors):
        tensor = tensors[name]
        shape = ",".join(map(str, tensor.shape))
        total.update(f"{name}\0{tensor.dtype}\0{shape}\0{digests[name]}\n".encode())
    return total.hexdigest()


def _entry(path: Path, name: str, entry: object, offset: int) -> StoredTensor:
    if not isinstance(entry, dict) or not 0 < len(name) <= 512 or not name.isprintable():
        raise UnsafeFile(f"{path}: a tensor's name or entry is malformed ({name!r:.80})")
    dtype = entry.get("dtype")
    if not isinstance(dtype, str) or dtype not in ITEM_BYTES:
        raise UnsafeFile(
            f"{path}: {name} has dtype {dtype!r:.40}; expected {', '.join(ITEM_BYTES)}"
        )
    shape, span = _integers(entry.get("shape")), _integers(entry.get("data_offsets"))
    if shape is None or len(shape) > 8 or span is None or len(span) != 2:
        raise CorruptFile(f"{path}: {name} has a malformed shape or byte range")
    size = span[1] - span[0]
    if size < 0 or math.prod(shape) * ITEM_BYTES[dtype] != size:
        raise CorruptFile(f"{path}: {name} has shape {shape} but {size} bytes")
    return StoredTensor(name, dtype, shape, path, offset + span[0], size)


def _integers(value: object) -> tuple[int, ...] | None:
    if not isinstance(value, list):
        return None
    fine = all(isinstance(x, int) and not isinstance(x, bool) and 0 <= x < 1 << 48 for x in value)
    return tuple(value) if fine else None
