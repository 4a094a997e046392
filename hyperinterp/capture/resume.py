"""Sums of an unfinished run on disk, so that a run that was killed goes on where it was."""

import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from hyperinterp.distributed import Processes
from hyperinterp.errors import InputRefused

States = Mapping[str, Tensor]

PAUSE = 20
"""A saving is followed by at least this many times its own duration without one."""


class ResumeDirectory:
    """A folder that holds the sums of one run so far, one file per pass and process.

    Every file is written aside, flushed to the disk and renamed, so that it is whole or absent.

    Args:
        folder: the folder; made when there is none.
        key: what the run depends on (models, text, sites, batch size, ...), as JSON values.
        processes: the processes that share the run.
        every: seconds between two savings, at least; more where a saving takes long.

    Raises:
        InputRefused: the folder holds the sums of another run.
    """

    def __init__(
        self, folder: Path, key: Mapping[str, Any], processes: Processes, every: float = 30.0
    ) -> None:
        self._folder = folder
        self._every = every
        self._processes = processes
        whole = dict(key) | {"processes": processes.size}
        self._key = hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()
        self._due = time.monotonic() + every
        folder.mkdir(parents=True, exist_ok=True)

    def _path(self, name: str) -> Path:
        shared = self._processes
        return self._folder / f"{name}.{shared.rank}-of-{shared.size}.safetensors"

    def restored(self, name: str, mark: str = "") -> tuple[int, dict[str, Tensor]]:
        """Batches done of a pass, and its sums; 0 and nothing when it has not begun.

        Args:
            name: the pass.
            mark: what its sums rest on beside the key; those of another mark count as not begun.

        Raises:
            InputRefused: the file belongs to another run, or is damaged.
        """
        path = self._path(name)
        if not path.is_file():
            return 0, {}
        try:
            with safe_open(path, framework="pt") as found:
                facts = found.metadata() or {}
                tensors = {key: found.get_tensor(key) for key in found.keys()}  # noqa: SIM118
        except SafetensorError as error:
            raise InputRefused(
                f"{path}: expected sums to resume from, found {error}; remove the folder"
            ) from error
        if facts.get("key") != self._key or not re.fullmatch("[0-9]{1,18}", facts.get("done", "")):
            raise InputRefused(
                f"{path}: expected the sums of this very comparison, found those of another "
                "(other models, text, sizes, batch size or number of processes); remove them or "
                "choose another folder"
            )
        return (int(facts["done"]), tensors) if facts.get("mark", "") == mark else (0, {})

    def save(
        self,
        name: str,
        done: int,
        state: Callable[[], States],
        *,
        mark: str = "",
        now: bool = False,
    ) -> None:
        """Write the sums of a pass after `done` batches, if it is time or `now`.

        Args:
            name: the pass.
            done: its batches that the sums hold.
            state: gives the sums.
            mark: what they rest on; see `restored`.
            now: whether it is time or not.

        Raises:
            OSError: the disk is full, or the folder cannot be written.
        """
        began = time.monotonic()
        if not now and began < self._due:
            return
        path = self._path(name)
        aside = path.with_suffix(".part")
        try:
            save_file(
                {key: tensor.contiguous() for key, tensor in state().items()},
                aside,
                metadata={"key": self._key, "done": str(done), "mark": mark},
            )
        except SafetensorError as error:
            aside.unlink(missing_ok=True)
            raise OSError(f"{path}: {error}") from error
        with aside.open("rb+") as stream:
            os.fsync(stream.fileno())
        aside.replace(path)
        ended = time.monotonic()
        self._due = ended + max(self._every, PAUSE * (ended - began))

    def remove(self) -> None:
        """Forget the sums of this process; the folder goes with the last of them."""
        shared = self._processes
        for path in self._folder.glob(f"*.{shared.rank}-of-{shared.size}.safetensors"):
            path.unlink()
        try:
            self._folder.rmdir()
        except OSError:
            return
