"""Entry point: exit codes, one-line errors, Ctrl-C."""

import errno
import io
import os
import sys
from pathlib import Path

from hyperinterp.cli.ends import how_it_ended, obey_signals
from hyperinterp.cli.places import expanded, remedy
from hyperinterp.errors import HyperinterpError, memory_ran_out

_REFUSED = {
    errno.EROFS, errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR,
    errno.ELOOP,
}  # fmt: skip
MEMORY_ADVICE = "try a smaller --batch-size, --preset quick, or --dtype bfloat16"


def _another_ended(error: BaseException) -> bool:
    """Return whether a process of the same launch has left, which ends all exchange with it."""
    gone = ("closed by peer", "reset by peer", "likely closed", "remote process exited")
    launched = os.environ.get("WORLD_SIZE", "1") != "1"
    return launched and isinstance(error, RuntimeError) and any(p in str(error) for p in gone)


def explain(error: BaseException) -> tuple[str, int]:
    """One line and an exit code for anything that a command may raise."""
    if isinstance(error, HyperinterpError):
        return f"error: {error}", error.exit_code
    if isinstance(error, KeyboardInterrupt):
        how, code = how_it_ended()
        return f"{how}: {str(error) or 'nothing half-written was left behind'}", code
    if memory_ran_out(error):
        return f"error: memory ran out: {MEMORY_ADVICE}", 3
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        place = error.filename or "unknown file"
        return f"error: the disk is full ({place}); {remedy(error.filename)}", 3
    if isinstance(error, OSError) and error.errno in _REFUSED:
        place = str(error.filename)[:200]
        return f"error: cannot write or read {place} ({error.strerror}); {remedy(place)}", 2
    if isinstance(error, FileNotFoundError) and "temporary directory" in str(error):
        return "error: no temporary directory can be written; set TMPDIR to one that can", 2
    if isinstance(error, RuntimeError) and "home directory" in str(error):
        return (
            "error: this user has no home directory; set HOME, or HYPERINTERP_CACHE and HF_HOME",
            2,
        )
    if isinstance(error, BrokenPipeError):
        return "", 0
    if _another_ended(error):
        return "error: stopped, because another process ended: its own message says why", 2
    name = type(error).__name__
    return f"internal error, please report it: {name}: {error} (--debug shows where)", 1


def main() -> None:
    """Run the command line and leave with its exit code."""
    debug = "--debug" in sys.argv or bool(os.environ.get("HYPERINTERP_DEBUG"))
    arguments = [expanded(argument) for argument in sys.argv[1:] if argument != "--debug"]
    obey_signals()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    _open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # names of files need not be Unicode
            stream.reconfigure(errors="backslashreplace")
    try:
        _run(arguments)
        sys.stdout.flush()
        code = 0
    except BaseException as error:
        code = _failed(error, debug)
    _close_stdout()
    sys.exit(code)


def _open_closed_streams() -> None:
    """Let a standard stream that was closed lead nowhere.

    Python has None for it, and the next file to be opened would get its number.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode))  # noqa: SIM115


def _run(arguments: list[str]) -> None:
    """Parse and call, without the parser's own handling of exceptions: it swallows Ctrl-C."""
    from typer.main import get_command

    from hyperinterp.cli.app import app
    from hyperinterp.cli.arranging import arranged
    from hyperinterp.memory import keep_freed_memory

    command = arranged(get_command(app))
    if "_HYPERINTERP_COMPLETE" in os.environ:  # a shell asks what may come next
        command.main(arguments, prog_name="hyperinterp")
    with command.make_context("hyperinterp", arguments) as context:
        keep_freed_memory()
        command.invoke(context)


def _close_stdout() -> None:
    """Drop what could not be printed, so that Python's own exit does not fail over it."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _failed(error: BaseException, debug: bool) -> int:
    import typer

    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else 1
    if isinstance(error, typer.Exit):
        return error.exit_code
    if isinstance(error, typer.Abort):
        error = KeyboardInterrupt()
    show = getattr(error, "show", None)
    if callable(show):  # a usage error of the command-line parser
        show(sys.stderr)
        return 2
    if debug:
        import traceback

        traceback.print_exception(error)
    line, code = explain(error)
    rank = os.environ.get("RANK", "0")  # set by launchers of several processes
    if line:
        whose = "" if rank == "0" else f"process {rank}: "
        sys.stderr.write(whose + " ".join(line.split()) + "\n")
    return code
