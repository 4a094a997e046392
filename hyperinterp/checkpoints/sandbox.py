"""Starts the reader of untrusted `torch.save` files and turns its end into one clear error."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hyperinterp.checkpoints.source import how_to_convert
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
    _run([path], {"bundle": True, "under": []}, folder)


def convert_weights(paths: Sequence[Path], under: Sequence[str | None], folder: Path) -> list[Path]:
    """Read the files of one state dict in one child process with the same limits.

    Args:
        paths: The files, already screened.
        under: For each the key under which its state dict lies; None for the outermost table.
        folder: Where the safetensors files go.

    Returns:
        One safetensors file for each.

    Raises:
        UnsafeFile: One is not a plain state dict, or hit a limit.
        OutOfResources: The temporary directory's disk is full.
    """
    _run(paths, {"bundle": False, "under": list(under)}, folder)
    return [folder / f"weights-{number}.safetensors" for number in range(1, len(paths) + 1)]


def _run(paths: Sequence[Path], asked: Mapping[str, Any], folder: Path) -> None:
    environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
    environment.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", PYTHONNOUSERSITE="1")
    allowed = _IMPORT_SECONDS + sum(path.stat().st_size for path in paths) / 10e6
    path = paths[0]
    try:
        done = subprocess.run(
            [sys.executable, "-P", str(_CHILD), str(folder), *(str(p.resolve()) for p in paths)],
            input=json.dumps(asked).encode(),
            capture_output=True,
            timeout=allowed,
            env=environment,
            cwd=folder,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise UnsafeFile(
            f"{path}: reading it took longer than {allowed:.0f} s; {how_to_convert()}"
        ) from error
    if done.returncode == 0:
        return
    if done.returncode < 0:
        raise UnsafeFile(
            f"{path}: {_describe(-done.returncode)} while reading it, so it is refused; "
            f"{how_to_convert()}"
        )
    try:
        report = json.loads(done.stdout.decode().splitlines()[-1])
    except (ValueError, IndexError) as error:
        raise UnsafeFile(
            f"{path}: the reader ended with code {done.returncode}; {how_to_convert()}"
        ) from error
    if report["errno"] in _FULL:
        raise OutOfResources(f"{path}: no space to unpack it in {folder.parent}; set TMPDIR")
    raise UnsafeFile(f"{report['path'] or path}: {report['reason']}; {how_to_convert()}")


def _describe(number: int) -> str:
    if number in (signal.SIGXCPU, signal.SIGALRM, signal.SIGKILL):
        return "the time limit was reached"
    return f"the reader was stopped by {signal.Signals(number).name}"
