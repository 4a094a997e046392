"""Entry point: exit codes, one-line errors, Ctrl-C."""

import errno
import os
import sys

from hyperinterp.errors import HyperinterpError

MEMORY_ADVICE = "try a smaller --batch-size, --preset quick, or --dtype bfloat16"


def _memory_ran_out(error: BaseException) -> bool:
    if isinstance(error, MemoryError):
        return True
    text = str(error)
    return isinstance(error, RuntimeError) and (
        "out of memory" in text or "DefaultCPUAllocator: can't allocate" in text
    )


def explain(error: BaseException) -> tuple[str, int]:
    """One line and an exit code for anything that a command may raise."""
    if isinstance(error, HyperinterpError):
        return f"error: {error}", error.exit_code
    if isinstance(error, KeyboardInterrupt):
        return "interrupted", 130
    if _memory_ran_out(error):
        return f"error: memory ran out: {MEMORY_ADVICE}", 3
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"error: the disk is full ({error.filename or 'unknown file'}): free some space", 3
    if isinstance(error, OSError) and error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return f"error: cannot write or read {error.filename}: {error.strerror}", 2
    if isinstance(error, BrokenPipeError):
        return "", 0
    name = type(error).__name__
    return f"internal error, please report it: {name}: {error} (--debug shows where)", 1


def main() -> None:
    """Run the command line and leave with its exit code."""
    debug = "--debug" in sys.argv or bool(os.environ.get("HYPERINTERP_DEBUG"))
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from hyperinterp.cli.app import app

    try:
        code = app(args=arguments, standalone_mode=False) or 0
    except BaseException as error:
        code = _failed(error, debug)
    sys.exit(code)


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
    if line:
        sys.stderr.write(" ".join(line.split()) + "\n")
    return code
