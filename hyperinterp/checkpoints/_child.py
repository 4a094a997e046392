"""Reads an untrusted bundle in a process of its own: `python -P _child.py BUNDLE FOLDER`.

Imports nothing of hyperinterp. Time, memory and file sizes are limited by the kernel. Writes
`tensors.safetensors` and `texts.json` into FOLDER; the parent checks both again.
Exit codes: 0 done, 3 refused (one JSON line on stdout says why); a signal means a limit was hit.
"""

import contextlib
import json
import os
import signal
import struct
import sys
import warnings
from pathlib import Path
from typing import Any, NoReturn

# CPU time is what bounds a file that hangs; the wall clock only one that waits, since an honest
# file on a starved machine may need long.
CPU_SECONDS, WALL_SECONDS, SECONDS_PER_BYTE = 3.0, 60.0, 1 / 20e6
SPARE_BYTES = 1 << 30
KEYS = {"format", "format_version", "kind", "meta", "texts", "tensors"}


def main(arguments: list[str]) -> int:
    """Convert one bundle; see the module's text."""
    path, folder = Path(arguments[0]), Path(arguments[1])
    size = path.stat().st_size
    import torch

    limit_resources(size)
    warnings.simplefilter("ignore")
    try:
        payload = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        tensors = check_payload(payload, torch)
        write_safetensors(folder / "tensors.safetensors", tensors, torch)
        texts = {key: payload[key] for key in sorted(KEYS - {"tensors"})}
        (folder / "texts.json").write_text(json.dumps(texts), encoding="utf-8")
    except MemoryError:
        refuse("asks for more memory than a file of its size needs")
    except OSError as error:
        refuse(f"could not be converted: {error}", errno=error.errno or 0)
    except Exception as error:  # whatever a hostile file provokes
        refuse(f"is not a plain bundle (reading it raised {type(error).__name__})")
    return 0


def limit_resources(size: int) -> None:
    """Bound time, address space and written bytes, relative to what is in use already."""
    extra = size * SECONDS_PER_BYTE
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        used = sum(os.times()[:2])
        cpu = int(used + CPU_SECONDS + extra) + 1
        resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(
            resource.RLIMIT_FSIZE, (size + SPARE_BYTES // 8, size + SPARE_BYTES // 8)
        )
        space = address_space() + 2 * size + SPARE_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (space, space))
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, WALL_SECONDS + extra)


def address_space() -> int:
    """Bytes of virtual memory that this process has mapped."""
    with contextlib.suppress(OSError):
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[0]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")
    return 32 << 30


def check_payload(payload: Any, torch: Any) -> dict[str, Any]:
    """Only the expected keys, only strings and only plain dense tensors that the file backs."""
    if type(payload) is not dict or set(payload) != KEYS:
        refuse("is not a hyperinterp bundle (its top level has other keys)")
    texts, tensors = payload["texts"], payload["tensors"]
    strings = [payload[key] for key in KEYS - {"texts", "tensors"}]
    if type(texts) is not dict or type(tensors) is not dict or not tensors:
        refuse("has no tables of texts and tensors")
    if any(type(s) is not str for s in [*strings, *texts.keys(), *texts.values(), *tensors.keys()]):
        refuse("holds something that is not text where text is expected")
    for name, tensor in tensors.items():
        if type(tensor) is not torch.Tensor or tensor.layout is not torch.strided:
            refuse(f"{name!r:.80} is not a plain dense tensor")
        if tensor.device.type != "cpu" or dtype_name(tensor, torch) is None:
            refuse(f"{name!r:.80} has device {tensor.device} and dtype {tensor.dtype}")
        stored = tensor.untyped_storage().nbytes()
        needed = tensor.numel() * tensor.element_size()
        if stored != needed or tensor.storage_offset() or not tensor.is_contiguous():
            refuse(f"{name!r:.80} needs {needed} bytes, the file holds {stored} for it")
    return tensors


def dtype_name(tensor: Any, torch: Any) -> str | None:
    """The safetensors name of a tensor's dtype; None when it is not allowed."""
    names = {
        "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
        "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2, "I64": torch.int64,
        "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8,
        "BOOL": torch.bool,
    }  # fmt: skip
    return next((name for name, dtype in names.items() if dtype is tensor.dtype), None)


def write_safetensors(path: Path, tensors: dict[str, Any], torch: Any) -> None:
    """Write tensors one after the other, without a second copy in memory."""
    header: dict[str, Any] = {}
    position = 0
    for name, tensor in tensors.items():
        end = position + tensor.numel() * tensor.element_size()
        header[name] = {
            "dtype": dtype_name(tensor, torch),
            "shape": list(tensor.shape),
            "data_offsets": [position, end],
        }
        position = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as handle:
        handle.write(struct.pack("<Q", len(text)) + text)
        for tensor in tensors.values():
            if tensor.numel():
                handle.write(memoryview(tensor.reshape(-1).view(torch.uint8).numpy()))


def refuse(reason: str, errno: int = 0) -> NoReturn:
    """Say why on stdout and end with code 3."""
    sys.stdout.write(json.dumps({"reason": reason, "errno": errno}) + "\n")
    sys.stdout.flush()
    os._exit(3)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
