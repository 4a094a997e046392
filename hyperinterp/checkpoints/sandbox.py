"""Starts the reader of untrusted bundles and turns its end into one clear error."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from hyperinterp.errors import OutOfResources, UnsafeFile

_CHILD = Path(__file__).with_name("_child.py")
_IMPORT_SECONDS = 120  # starting torch on a busy machine; the file's own time is limited inside
_KEPT = ("PATH", "PYTHONPATH", "PYTHONHOME", "SYSTEMROOT", "LD_LIBRARY_PATH", "TMPDIR")
_FULL = {28, 122, 27}


def convert_untrusted(path: Path, folder: Path) -> None:
    """Read a bundle in a child process; leaves `tensors.safetensors` and `texts.json` in `folder`.

    The child may use time and memory in proportion to the file's size: 3 s of CPU plus 1 s per
    20 MB, and 1 GiB plus twice the file beyond what torch itself maps.

    Raises:
        UnsafeFile: It is not a plain bundle, or hit a limit.
        OutOfResources: The temporary directory's disk is full.
    """
    environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
    environment.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", PYTHONNOUSERSITE="1")
    allowed = _IMPORT_SECONDS + path.stat().st_size / 10e6
    try:
        done = subprocess.run(
            [sys.executable, "-P", str(_CHILD), str(path.resolve()), str(folder)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=allowed,
            env=environment,
            cwd=folder,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise UnsafeFile(f"{path}: reading it took longer than {allowed:.0f} s") from error
    if done.returncode == 0:
        return
    if done.returncode < 0:
        raise UnsafeFile(
            f"{path}: {_describe(-done.returncode)} while reading it, so it is refused"
        )
    try:
        report = json.loads(done.stdout.decode().splitlines()[-1])
    except (ValueError, IndexError) as error:
        raise UnsafeFile(f"{path}: the reader ended with code {done.returncode}") from error
    if report["errno"] in _FULL:
        raise OutOfResources(f"{path}: no space to unpack it in {folder.parent}; set TMPDIR")
    raise UnsafeFile(f"{path}: {report['reason']}")


def _describe(number: int) -> str:
    if number in (signal.SIGXCPU, signal.SIGALRM, signal.SIGKILL):
        return "the time limit was reached"
    return f"the reader was stopped by {signal.Signals(number).name}"
