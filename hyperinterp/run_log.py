"""The log of a comparison: progress while it runs, and notes for the report."""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

Progress = Callable[[str, int, int], None]
"""Told of work done: a task in words, units done so far, units in all."""


def silent(task: str, done: int, total: int) -> None:
    """Progress that nobody sees."""


@dataclass
class RunLog:
    """Progress, time and notes of one comparison.

    Attributes:
        progress: told of work done.
        forwards: how often each model ran over each text, and how many texts were written.
        seconds: wall time per piece of work.
        warnings: things the reader has to know.
    """

    progress: Progress = silent
    forwards: Counter[str] = field(default_factory=Counter)
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    warnings: list[str] = field(default_factory=list)

    def warn(self, *notes: str) -> None:
        """Note things that the reader has to know, each once."""
        self.warnings += [note for note in dict.fromkeys(notes) if note not in self.warnings]

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Add the wall time of the context to `seconds[name]`."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] += time.perf_counter() - start

    def ticker(self, task: str, total: int) -> Callable[[int], None]:
        """A callback that adds up units done and reports progress."""
        done = 0

        def tick(count: int) -> None:
            nonlocal done
            done = min(done + count, total)
            self.progress(task, done, total)

        self.progress(task, 0, total)
        return tick
