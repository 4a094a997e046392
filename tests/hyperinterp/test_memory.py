"""Freed memory is kept, sizes in words, and what a process can still take."""

import os
import platform
import subprocess
import sys

import pytest

from hyperinterp.errors import InputRefused
from hyperinterp.memory import available, parse_memory

SCRIPT = """
import ctypes, resource, sys
from hyperinterp.memory import keep_freed_memory
done = keep_freed_memory() if sys.argv[1] == "kept" else False
libc, size = ctypes.CDLL(None), ctypes.c_size_t(3_000_000)
libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes, libc.free.argtypes = (ctypes.c_size_t,), (ctypes.c_void_p,)
libc.memset.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t)
def once():
    blocks = [libc.malloc(size) for _ in range(12)]
    for block in blocks:
        libc.memset(block, 1, size)
    for block in blocks:
        libc.free(block)
for _ in range(5):
    once()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    once()
print(done, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how: str, **more: str) -> tuple[str, int]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    found = subprocess.run(
        [sys.executable, "-c", SCRIPT, how],
        capture_output=True, text=True, check=True, env=clean | more,
    )  # fmt: skip
    done, count = found.stdout.split()
    return done, int(count)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has these settings")
def test_kept_pages_do_not_fault_again():
    done, kept = faults("kept")
    assert done == "True"
    _, given_back = faults("given back")
    assert kept < 1000 < given_back  # 20 rounds of 8800 pages


def test_the_users_own_settings_stay():
    assert faults("kept", MALLOC_ARENA_MAX="1")[0] == "False"


@pytest.mark.parametrize(
    ("given", "size"),
    [
        (None, None), (5, 5), ("80GB", 80 * 10**9), ("22.5 gib", int(22.5 * 2**30)),
        ("1kB", 1000), ("4096", 4096), (" 7 MiB ", 7 * 2**20), ("1T", 10**12),
    ],
)  # fmt: skip
def test_sizes_in_words(given, size):
    assert parse_memory(given) == size


@pytest.mark.parametrize("given", ["", "much", "-3GB", 0, -1, True, "1 PB", "1e9", 1.5, "0GB"])
def test_no_size_is_refused(given):
    with pytest.raises(InputRefused, match="memory: expected a size such as 80GB"):
        parse_memory(given)


@pytest.mark.skipif(platform.system() != "Linux", reason="limits are read from the kernel")
def test_limits_of_the_process_count():
    script = (
        "import resource, sys; sys.path.insert(0, '.');"
        "from hyperinterp.memory import available; before = available('cpu');"
        "resource.setrlimit(resource.RLIMIT_DATA, (600 << 20, 600 << 20));"
        "print(before, available('cpu'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    before, after = map(int, done.stdout.split())
    assert 0 < after <= min(before, 600 << 20)
    assert available("cpu") > 0
