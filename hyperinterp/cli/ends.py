"""Ends of a command by signal: SIGTERM and SIGHUP are Ctrl-C with another exit code."""

import os
import signal
from types import FrameType

SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)
)  # Windows has no SIGHUP
_received: list[int] = []


def obey_signals() -> None:
    """From now on, let SIGTERM and SIGHUP end the command as Ctrl-C does: clean up, keep state.

    A second one changes nothing. What was started to ignore a signal (nohup) goes on ignoring it.
    Processes of a launcher keep the system's way: they may be waiting for each other, where Python
    cannot answer, and their launcher ends them together.
    """
    if os.environ.get("WORLD_SIZE", "1") != "1":
        return
    for number in SIGNALS:
        if signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, _end)


def _end(number: int, frame: FrameType | None) -> None:
    _received.append(number)
    for other in SIGNALS:
        signal.signal(other, signal.SIG_IGN)
    raise KeyboardInterrupt


def how_it_ended() -> tuple[str, int]:
    """In one word, and as an exit code, how an interrupted command was interrupted."""
    if not _received:
        return "interrupted", 130
    return f"ended by {signal.Signals(_received[0]).name}", 128 + _received[0]
