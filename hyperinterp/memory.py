"""The C library's treatment of memory that was freed."""

import ctypes
import os

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # names of mallopt(3)'s parameters in <malloc.h>
_KEPT, _LARGEST = 64 << 20, 32 << 20


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
