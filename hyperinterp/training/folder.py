"""The run directory: where an unfinished run lives, and who may continue or discard it."""

import json
import shutil
from pathlib import Path
from typing import Any

from hyperinterp.checkpoints import check_place, verify_directory, write_file
from hyperinterp.checkpoints.files import refuse_foreign, translate_io_errors
from hyperinterp.errors import InputRefused
from hyperinterp.training.config import differing_fields
from hyperinterp.training.lock import LOCK_FILES, RunLock, refuse_locked
from hyperinterp.training.result import RESULT_NAME
from hyperinterp.training.resume import ResumePoint, newest_point, run_directory

RECIPE_NAME = "run.json"


class RunFolder:
    """Files of one run; from `begin` until `close` or `release` no other process may use them.

    Attributes:
        out: the directory to be made.
        path: `OUT.run`, where the run keeps its files until then.
        force: whether `out` may be replaced.
        resume: whether an unfinished run is to be continued.
        recipe: what determines the weights.
    """

    def __init__(self, out: Path, *, force: bool, resume: bool) -> None:
        self.out = out
        self.path = run_directory(out)
        self.force = force
        self.resume = resume
        self.recipe: dict[str, Any] = {}
        self._lock = RunLock(self.path)

    def check(self) -> None:
        """Check, before any work, that `out` may be made.

        Raises:
            InputRefused: `out` or an unfinished run is there and neither `resume` nor `force` is
                given; what is there is not ours to replace; or `out` cannot be made.
            OutOfResources: the disk is full.
        """
        check_place(self.out)
        refuse_locked(self.path)
        check_free(self)

    def begin(self, recipe: dict[str, Any]) -> dict[str, Any] | None:
        """Make or re-enter the run directory.

        Returns:
            The stored result when the same run is already finished, else None.

        Raises:
            InputRefused: the run to be resumed had another recipe or other data; another
                process is training there, or has made `out` in the meantime.
        """
        self.recipe = recipe
        with translate_io_errors(self.path):
            self._lock.take()
        try:
            finished = self._begin(recipe)
        except BaseException:
            self.release()
            raise
        if finished is not None:
            self.release()
        return finished

    def _begin(self, recipe: dict[str, Any]) -> dict[str, Any] | None:
        stored = self._stored() if self.resume else None
        if stored is not None:
            _refuse_other(self.path, stored["recipe"], recipe)
            self.force = self.force or stored["force"]
            return None
        if self.resume and self.out.exists() and not self.force:
            return self._finished(recipe)
        check_free(self)
        with translate_io_errors(self.path):
            self._empty()
            document = json.dumps({"recipe": recipe, "force": self.force}, indent=2)
            write_file(self.path / RECIPE_NAME, document.encode())
        return None

    def newest(self) -> ResumePoint | None:
        """The resume point to continue from; None at the beginning."""
        return newest_point(self.path) if self.resume else None

    def close(self) -> None:
        """Remove the run directory of a finished run."""
        shutil.rmtree(self.path, ignore_errors=True)
        self._lock.release()

    def release(self) -> None:
        """Let another process continue the run; a directory without a run in it is removed."""
        if self.path.is_dir() and {path.name for path in self.path.iterdir()} <= LOCK_FILES:
            shutil.rmtree(self.path, ignore_errors=True)
        self._lock.release()

    def _empty(self) -> None:
        # The recipe goes last: what is left after a kill still is known as an unfinished run.
        for path in sorted(self.path.iterdir(), key=lambda path: path.name == RECIPE_NAME):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path.name not in LOCK_FILES:
                path.unlink()

    def _stored(self) -> dict[str, Any] | None:
        path = self.path / RECIPE_NAME
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None

    def _finished(self, recipe: dict[str, Any]) -> dict[str, Any]:
        verify_directory(self.out)
        path = self.out / RESULT_NAME
        if not path.is_file():
            raise InputRefused(
                f"{self.out}: expected a run to resume, found something else; name another --out"
            )
        stored = json.loads(path.read_text(encoding="utf-8"))
        _refuse_other(self.out, stored["recipe"], recipe)
        return stored["result"]


def _refuse_other(path: Path, stored: dict[str, Any], wanted: dict[str, Any]) -> None:
    different = differing_fields(stored, wanted)
    if different:
        raise InputRefused(
            f"{path}: expected the same recipe and data to resume, found {'; '.join(different)}; "
            "start anew with --force, or name another --out"
        )


def check_free(folder: RunFolder) -> None:
    """Refuse an `out` or a run directory that is not ours to replace or to continue.

    Raises:
        InputRefused: see `RunFolder.check`.
    """
    out, force, resume = folder.out, folder.force, folder.resume
    if out.exists() and not (resume or force):
        raise InputRefused(f"{out}: already exists; name another --out, or pass --force")
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise InputRefused(f"{out}: exists and is not a plain directory; name another --out")
    if force and out.is_dir():
        refuse_foreign(out)
    if not folder.path.exists():
        return
    if not folder.path.is_dir():
        raise InputRefused(f"{folder.path}: expected an unfinished run, found a file; move it away")
    there = {path.name for path in folder.path.iterdir()} - LOCK_FILES
    if there and RECIPE_NAME not in there:
        raise InputRefused(
            f"{folder.path}: expected an unfinished run, found something else; name another "
            "--out, or move it away"
        )
    if there and not (resume or force):
        raise InputRefused(
            f"{folder.path}: an unfinished run is there; --resume continues it, --force discards it"
        )
