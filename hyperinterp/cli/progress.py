"""Progress on stderr: bars with time left on a terminal, a line every half minute elsewhere."""

import sys
import threading
import time
from dataclasses import dataclass
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

EVERY = 30.0
"""Seconds between two lines where stderr is no terminal."""


class Reporter:
    """Shows tasks that say how far they are; a context manager.

    Args:
        quiet: show nothing.
        every: seconds between two lines where stderr is no terminal.
    """

    def __init__(self, quiet: bool = False, every: float = EVERY) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._quiet = quiet
        self._bars: Bars | None = None
        self._tasks: dict[str, int] = {}
        self._lines = _Lines(every)

    def __enter__(self) -> "Reporter":
        if self._quiet:
            return self
        if not self._console.is_terminal:
            self._lines.start()
            return self
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
        self._lines.stop()

    def __call__(self, task: str, done: int, total: int, note: str = "") -> None:
        """Report that `done` of `total` units of `task` are done."""
        if self._quiet:
            return
        if self._bars is None:
            self._lines.told(task, done, total, note)
            return
        if task not in self._tasks:
            self._tasks[task] = self._bars.add_task(task, total=total, note=note)
        self._bars.update(self._tasks[task], completed=done, total=total, note=note)  # pyright: ignore


@dataclass
class _Task:
    """The progress of a task: units at its first and last report and in all, and their times."""

    name: str
    first: int
    done: int
    total: int
    note: str
    began: float
    last: float

    def line(self) -> str:
        """Return the share done, with its note and the time left at its speed so far."""
        parts = [f"{self.name}: {self.done} of {self.total}"]
        parts += [self.note] if self.note else []
        seconds, made = time.monotonic() - self.began, self.done - self.first
        if made > 0 and self.done < self.total:
            parts.append(f"{span(seconds / made * (self.total - self.done))} left")
        return ", ".join(parts)

    def end(self) -> str:
        """Return the units done and their time up to the last report, all done or not."""
        seconds = self.last - self.began
        count = str(self.total) if self.done >= self.total else f"{self.done} of {self.total}"
        return f"{self.name}: {count} in {seconds:.1f} s {self.note}".rstrip()


class _Lines:
    """Whole lines: the first report of all at once, then one at an interval, and each task's end.

    The interval is kept by a thread of its own, since a task may report once an hour.
    """

    def __init__(self, every: float) -> None:
        self._every = every
        self._tasks: dict[str, _Task] = {}
        self._ended: dict[str, int] = {}
        self._current: _Task | None = None
        self._said_any = False
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._keep_telling, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the lines; a task that was not finished says how far it came."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()
        for task in self._tasks.values():
            _say(task.end())
        self._tasks.clear()

    def told(self, name: str, done: int, total: int, note: str) -> None:
        if self._ended.get(name) == total and done >= total:
            return
        task, now = self._tasks.get(name), time.monotonic()
        if task is None:
            task = self._tasks[name] = _Task(name, done, done, total, note, now, now)
        task.done, task.total, task.note, task.last = done, total, note, now
        self._current = task
        if done >= total:
            self._ended[name] = total
            del self._tasks[name]
            _say(task.end())
        elif not self._said_any:
            _say(f"{task.line()} (a line every {self._every:g} s)")
        self._said_any = True

    def _keep_telling(self) -> None:
        while not self._over.wait(self._every):
            task = self._current
            if task is not None and task.name in self._tasks:
                _say(task.line())


def span(seconds: float) -> str:
    """A time to wait, e.g. `40 s`, `12 min` or `3.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
