"""Progress on stderr: bars with time left on a terminal, one line per task elsewhere."""

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars


class Reporter:
    """Shows tasks that say how far they are; a context manager.

    Args:
        quiet: show nothing.
    """

    def __init__(self, quiet: bool = False) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._quiet = quiet
        self._bars: Bars | None = None
        self._tasks: dict[str, int] = {}
        self._started: dict[str, float] = {}

    def __enter__(self) -> "Reporter":
        if not self._quiet and self._console.is_terminal:
            self._bars = Bars(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(),
                TextColumn("{task.fields[note]}"),
                console=self._console,
            )
            self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bars is not None:
            self._bars.stop()

    def __call__(self, task: str, done: int, total: int, note: str = "") -> None:
        """Report that `done` of `total` units of `task` are done."""
        if self._quiet:
            return
        if self._bars is None:
            self._line(task, done, total, note)
            return
        if task not in self._tasks:
            self._tasks[task] = self._bars.add_task(task, total=total, note=note)
        self._bars.update(self._tasks[task], completed=done, total=total, note=note)  # pyright: ignore

    def _line(self, task: str, done: int, total: int, note: str) -> None:
        start = self._started.setdefault(task, time.monotonic())
        if done >= total and self._tasks.get(task) != total:
            self._tasks[task] = total
            seconds = time.monotonic() - start
            text = f"{task}: {total} in {seconds:.1f} s {note}".rstrip()
            sys.stderr.write(text + "\n")
            sys.stderr.flush()
