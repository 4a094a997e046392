"""GGUF files: bounds checked first, then converted once into a safetensors directory."""

import contextlib
import io
import math
import struct
from pathlib import Path
from typing import Any, BinaryIO

import torch
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from hyperinterp.checkpoints.building import quiet_transformers
from hyperinterp.checkpoints.saving import save_checkpoint
from hyperinterp.checkpoints.screen import screen_model_config
from hyperinterp.checkpoints.staging import private_directory
from hyperinterp.errors import CorruptFile, UnsafeFile

_SCALARS = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_STRING, _ARRAY = 8, 9
_MAX_KEYS, _MAX_TENSORS, _MAX_ITEMS = 65_536, 65_536, 1 << 23
_MAX_KEY, _MAX_STRING = 1 << 16, 1 << 24


def screen_gguf(path: Path) -> None:
    """Walk a GGUF file's metadata with bounds on every count, without reading any tensor.

    Raises:
        CorruptFile: Not GGUF version 2 or 3, or truncated.
        UnsafeFile: A count or a length is beyond any real model.
    """
    total = path.stat().st_size
    with path.open("rb") as handle:
        if handle.read(4) != b"GGUF":
            raise CorruptFile(f"{path}: expected a GGUF file, found another beginning")
        version, tensors, keys = struct.unpack("<IQQ", _take(handle, 20, path))
        if version not in (2, 3):
            raise CorruptFile(f"{path}: expected GGUF version 2 or 3, found {version}")
        if keys > _MAX_KEYS or tensors > _MAX_TENSORS:
            raise UnsafeFile(f"{path}: {keys} keys and {tensors} tensors, too many for a model")
        for _ in range(keys):
            _skip_string(handle, path, total, _MAX_KEY)
            (kind,) = struct.unpack("<I", _take(handle, 4, path))
            _skip_value(handle, kind, path, total, depth=0)
        elements, last = 0, 0
        for _ in range(tensors):
            _skip_string(handle, path, total, _MAX_KEY)
            (axes,) = struct.unpack("<I", _take(handle, 4, path))
            if axes > 4:
                raise UnsafeFile(f"{path}: a tensor with {axes} axes, expected at most 4")
            shape = struct.unpack(f"<{axes}Q", _take(handle, 8 * axes, path))
            kind, offset = struct.unpack("<IQ", _take(handle, 12, path))
            size = math.prod(shape)
            elements += size
            last = max(last, offset + _stored_bytes(kind, size, path))
        needed = handle.tell() + last
        if needed > total:
            raise CorruptFile(f"{path}: expected {needed} bytes, found {total} (truncated?)")
        if elements > 16 * total:  # no quantisation stores less than half a bit per weight
            raise UnsafeFile(f"{path}: claims {elements:,} weights in {total:,} bytes")


def convert_gguf(path: Path, out: Path, *, provenance: dict[str, Any]) -> Path:
    """De-quantise a GGUF file into a float32 `save_pretrained` directory at `out`.

    Raises:
        InputRefused: The file is damaged, hostile, or of a family that transformers cannot read.
    """
    screen_gguf(path)
    model, tokenizer = _dequantise(path)
    _forget_quantizer(model)
    for key in ("local_files_only", "is_local"):
        tokenizer.init_kwargs.pop(key, None)
    return save_checkpoint(model, tokenizer, out, provenance=provenance)


def _dequantise(path: Path) -> tuple[PreTrainedModel, Any]:
    """Let transformers read the file from a directory where it lies alone."""
    where: dict[str, Any] = {"gguf_file": "model.gguf", "local_files_only": True}
    # transformers draws one progress bar on stderr here, whatever its settings say
    quiet = contextlib.redirect_stderr(io.StringIO())
    with private_directory() as root, quiet, quiet_transformers(str(path)):
        (root / "model.gguf").symlink_to(path.resolve())
        config = AutoConfig.from_pretrained(root, **where)
        screen_model_config(
            {k: v for k, v in config.to_dict().items() if k != "quantization_config"}, str(path)
        )
        model = AutoModelForCausalLM.from_pretrained(root, dtype=torch.float32, **where)
        return model, AutoTokenizer.from_pretrained(root, **where)


def _forget_quantizer(model: PreTrainedModel) -> None:
    """Take off the mark that makes `save_pretrained` refuse a de-quantised model."""
    loose: Any = model
    loose.hf_quantizer = None
    loose.is_quantized = False
    if hasattr(loose.config, "quantization_config"):
        del loose.config.quantization_config


def _stored_bytes(kind: int, elements: int, path: Path) -> int:
    try:
        block, size = GGML_QUANT_SIZES[GGMLQuantizationType(kind)]
    except (ValueError, KeyError) as error:
        raise CorruptFile(f"{path}: unknown tensor type {kind}") from error
    return -(-elements // block) * size


def _take(handle: BinaryIO, size: int, path: Path) -> bytes:
    content = handle.read(size)
    if len(content) < size:
        raise CorruptFile(f"{path}: truncated inside its metadata")
    return content


def _skip(handle: BinaryIO, size: int, path: Path, total: int) -> None:
    if handle.tell() + size > total:
        raise CorruptFile(f"{path}: truncated inside its metadata")
    handle.seek(size, 1)


def _skip_string(handle: BinaryIO, path: Path, total: int, limit: int) -> None:
    (length,) = struct.unpack("<Q", _take(handle, 8, path))
    if length > limit:
        raise UnsafeFile(f"{path}: a text of {length} bytes in its metadata, at most {limit}")
    _skip(handle, length, path, total)


def _skip_strings(handle: BinaryIO, count: int, path: Path, total: int) -> None:
    """Skip a list of texts; vocabularies have 100,000 of them, so this loop is kept short."""
    place = handle.tell()
    for _ in range(count):
        handle.seek(place)
        length = int.from_bytes(handle.read(8), "little")
        place += 8 + length
        if place > total or length > _MAX_STRING:
            raise CorruptFile(f"{path}: truncated inside its metadata")
    handle.seek(place)


def _skip_value(handle: BinaryIO, kind: int, path: Path, total: int, *, depth: int) -> None:
    if kind in _SCALARS:
        _skip(handle, _SCALARS[kind], path, total)
    elif kind == _STRING:
        _skip_string(handle, path, total, _MAX_STRING)
    elif kind == _ARRAY and depth < 2:
        inner, count = struct.unpack("<IQ", _take(handle, 12, path))
        if count > _MAX_ITEMS:
            raise UnsafeFile(f"{path}: a list of {count} items in its metadata")
        if inner in _SCALARS:
            _skip(handle, _SCALARS[inner] * count, path, total)
            return
        if inner == _STRING:
            _skip_strings(handle, count, path, total)
            return
        for _ in range(count):
            _skip_value(handle, inner, path, total, depth=depth + 1)
    else:
        raise CorruptFile(f"{path}: unknown or too deeply nested metadata type {kind}")
