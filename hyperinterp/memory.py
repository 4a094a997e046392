"""Memory: sizes in words, what is free, and the C library's treatment of what was freed."""

import ctypes
import os
import re
from pathlib import Path
from typing import Any

from hyperinterp.errors import InputRefused

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # names of mallopt(3)'s parameters in <malloc.h>
_KEPT, _LARGEST = 64 << 20, 32 << 20
_SIZE = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?)\s*(?:([kKmMgGtT])(i)?)?[bB]?")
_UNKNOWN = 1 << 62
"""Bytes where nothing says how many."""


def keep_freed_memory() -> bool:
    """Have glibc keep up to 64 MiB of freed memory instead of giving it back at once.

    An operation's result on the CPU is freed and allocated again thousands of times in a run; by
    default its pages may go back to the system every time, and each page that returns is a fault.
    (Keeping 1 GiB let the peak grow by a tenth over 64k tokens; 64 MiB leaves it flat.)
    Blocks above 32 MiB (glibc's largest) are given back as before. Does nothing where the C
    library has no `mallopt`, or where the environment already sets glibc's `MALLOC_...`.

    Returns:
        Whether it was done.
    """
    if any(name.startswith("MALLOC_") for name in os.environ):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):  # Windows has no CDLL(None)
        return False
    mallopt.argtypes = (ctypes.c_int, ctypes.c_int)
    mallopt.restype = ctypes.c_int
    return bool(mallopt(_MMAP_THRESHOLD, _LARGEST) and mallopt(_TRIM_THRESHOLD, _KEPT))


def parse_memory(given: Any) -> int | None:
    """Return a number of bytes from a number or from words such as "80GB" or "22.5 GiB".

    Args:
        given: bytes, or a number with kB, MB, GB, TB (powers of 1000) or KiB, MiB, GiB, TiB
            (of 1024); None stays None.

    Raises:
        InputRefused: not a size, or one of zero.
    """
    if given is None:
        return None
    found = _SIZE.fullmatch(given.strip()) if isinstance(given, str) else None
    if found is not None:
        prefix, binary = (found[2] or "").upper(), found[3] is not None
        size = float(found[1]) * (1024 if binary else 1000) ** " KMGT".index(prefix or " ")
    elif isinstance(given, int) and not isinstance(given, bool):
        size = given
    else:
        size = 0
    if not 1 <= size < 2**63:
        raise InputRefused(
            f"memory: expected a size such as 80GB or 22GiB, found {given!r:.80}; write 80GB"
        )
    return int(size)


def available(device: str) -> int:
    """Return the bytes that this process can still take on a device.

    On a card that is what nobody uses, and what torch keeps of what was freed. On the CPU it is
    the least of what the machine says is available, what the control group leaves, and what the
    limits of the process (`ulimit -v`, `ulimit -d`) leave.

    Args:
        device: "cpu", "cuda", "cuda:1", ...
    """
    if device.startswith("cuda"):
        import torch

        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return max(0, min(_machine(), _group(), _limits()))


def _machine() -> int:
    facts = _lines("/proc/meminfo")
    if "MemAvailable" in facts:
        return facts["MemAvailable"]
    try:  # not Linux: half of what there is
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    except (AttributeError, ValueError, OSError):
        return _UNKNOWN


def _group() -> int:
    """The bytes that the limits of this process's control groups (version 2) leave."""
    try:
        line = Path("/proc/self/cgroup").read_text(encoding="utf-8").strip()
    except OSError:
        return _UNKNOWN
    root = Path("/sys/fs/cgroup")
    own = root / line.rpartition("::")[2].strip("/") if line.startswith("0::") else root
    found = [_UNKNOWN]
    for place in (own, *own.parents):
        try:
            most = (place / "memory.max").read_text(encoding="ascii").strip()
            used = (place / "memory.current").read_text(encoding="ascii").strip()
            found.append(int(most) - int(used))
        except (OSError, ValueError):  # no limit there, or none that can be read
            continue
    return min(found)


def _limits() -> int:
    """The bytes that the limits on address space and data of this process leave."""
    try:
        import resource
    except ImportError:
        return _UNKNOWN
    used = _lines("/proc/self/status")
    found = [_UNKNOWN]
    for kind, name in ((resource.RLIMIT_AS, "VmSize"), (resource.RLIMIT_DATA, "VmData")):
        most = resource.getrlimit(kind)[0]
        if most != resource.RLIM_INFINITY:
            found.append(most - used.get(name, 0))
    return min(found)


def _lines(path: str) -> dict[str, int]:
    """The sizes in a file of the kernel, in bytes; none where there is no such file."""
    try:
        text = Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    found = re.findall(r"^(\w+):\s+(\d+) kB$", text, re.MULTILINE)
    return {name: int(size) * 1024 for name, size in found}
