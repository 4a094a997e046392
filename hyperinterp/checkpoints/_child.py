"""Reads untrusted `torch.save` files in a process of its own: `python -P _child.py FOLDER FILE...`.

Standard input holds one JSON object: `bundle` (whether the one file is a bundle of ours) and
`under` (for each file the key under which its state dict lies, or null). Imports nothing of
hyperinterp. Time, memory and file sizes are limited by the kernel. Writes `tensors.safetensors` and
`texts.json` into FOLDER for a bundle, else `weights-1.safetensors`, ...; the parent checks them.
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
SPARE_BYTES, COPIES = 1 << 30, 4
KEYS = {"format", "format_version", "kind", "meta", "texts", "tensors"}


def main(arguments: list[str]) -> int:
    """Convert one bundle or the files of one state dict; see the module's text."""
    folder, paths = Path(arguments[0]), [Path(text) for text in arguments[1:]]
    asked = json.load(sys.stdin)
    size = sum(path.stat().st_size for path in paths)
    import torch

    limit_resources(size, 1 if asked["bundle"] else COPIES)
    warnings.simplefilter("ignore")
    what, path = ("bundle" if asked["bundle"] else "state dict"), paths[0]
    try:
        if asked["bundle"]:
            convert_bundle(path, folder, torch)
            return 0
        for number, (path, under) in enumerate(zip(paths, asked["under"], strict=True), 1):
            tensors = check_state_dict(read(path, torch), under, torch)
            write_safetensors(folder / f"weights-{number}.safetensors", tensors, torch)
    except MemoryError:
        refuse("asks for more memory than a file of its size needs", path)
    except OSError as error:
        refuse(f"could not be converted: {error}", path, errno=error.errno or 0)
    except Exception as error:  # whatever a hostile file provokes
        refuse(f"is not a plain {what} (reading it raised {type(error).__name__})", path)
    return 0


def convert_bundle(path: Path, folder: Path, torch: Any) -> None:
    """A bundle's tensors as safetensors, and its texts as JSON."""
    payload = read(path, torch)
    tensors = check_bundle(payload, torch)
    write_safetensors(folder / "tensors.safetensors", tensors, torch)
    texts = {key: payload[key] for key in sorted(KEYS - {"tensors"})}
    (folder / "texts.json").write_text(json.dumps(texts), encoding="utf-8")


def read(path: Path, torch: Any) -> Any:
    """Return the content of a file; only torch's zip format can be mapped instead of read."""
    with path.open("rb") as handle:
        zipped = handle.read(4) == b"PK\x03\x04"
    return torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)


def limit_resources(size: int, copies: int) -> None:
    """Bound time, address space and written bytes, relative to what is in use already."""
    extra = size * SECONDS_PER_BYTE
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        used = sum(os.times()[:2])
        cpu = int(used + CPU_SECONDS + extra) + 1
        resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        written = copies * size + SPARE_BYTES // 8
        resource.setrlimit(resource.RLIMIT_FSIZE, (written, written))
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


def check_bundle(payload: Any, torch: Any) -> dict[str, Any]:
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
        check_dense(name, tensor, torch)
        stored = tensor.untyped_storage().nbytes()
        needed = tensor.numel() * tensor.element_size()
        if stored != needed or tensor.storage_offset() or not tensor.is_contiguous():
            refuse(f"{name!r:.80} needs {needed} bytes, the file holds {stored} for it")
    return tensors


def check_state_dict(payload: Any, under: str | None, torch: Any) -> dict[str, Any]:
    """The plain dense tensors of a state dict by name; other values beside them are left out."""
    table = payload if under is None else payload[under]
    if not isinstance(table, dict):
        refuse("holds no table of tensors")
    tensors = {}
    for name, value in table.items():
        if isinstance(value, torch.Tensor):
            if type(name) is not str:
                refuse("holds a tensor without a name")
            tensors[name] = value.data if type(value) is torch.nn.Parameter else value
            check_dense(name, tensors[name], torch)
    return tensors


def check_dense(name: str, tensor: Any, torch: Any) -> None:
    """Refuse what is not a plain dense tensor of an allowed dtype in the CPU's memory."""
    if type(tensor) is not torch.Tensor or tensor.layout is not torch.strided:
        refuse(f"{name!r:.80} is not a plain dense tensor")
    if tensor.device.type != "cpu" or dtype_name(tensor, torch) is None:
        refuse(f"{name!r:.80} has device {tensor.device} and dtype {tensor.dtype}")


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
                flat = tensor.detach().contiguous().reshape(-1)
                handle.write(memoryview(flat.view(torch.uint8).numpy()))


def refuse(reason: str, path: Path | None = None, errno: int = 0) -> NoReturn:
    """Say why on stdout and end with code 3."""
    told = {"reason": reason, "errno": errno, "path": None if path is None else str(path)}
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()
    os._exit(3)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
