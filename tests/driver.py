"""Runs commands of the command line in forked processes, so that the imports are paid once.

Every line of standard input names a file of jobs as JSON, and a file for their results; a line is
printed when they are done. A job is {"argv": [...]} with, optionally:
`at`: "module:function:N", where the N-th call is met by a signal before it returns;
`signal`: its name, SIGINT by default;
`after`: seconds until SIGINT; `stdout`: a file to print to; `cwd`: where to be;
`env`: its variables; `script`: a Python file to run in place of the command line;
`processes`: how many processes share the job, as a launcher would start them.
"""

import importlib
import json
import os
import runpy
import signal
import socket
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any


def interrupt_at(place: str, by: str) -> None:
    """Let the N-th call of a function meet a signal when it has done its work."""
    module_name, path, number = place.split(":")
    *within, name = path.split(".")
    owner, calls = importlib.import_module(module_name), [0]
    for part in within:
        owner = getattr(owner, part)
    honest = getattr(owner, name)

    def interrupted(*args: Any, **kwargs: Any) -> Any:
        found = honest(*args, **kwargs)
        calls[0] += 1
        if calls[0] == int(number):
            signal.raise_signal(signal.Signals[by])
        return found

    setattr(owner, name, interrupted)


def in_child(job: dict[str, Any], output: Path, errors: Path) -> None:
    """Become the command line: its streams, its arguments, its exit code."""
    from huggingface_hub import constants

    from hyperinterp.cli import main

    code = 99
    try:
        os.environ.clear()
        os.environ.update(job["env"])
        os.chdir(job["cwd"])
        tempfile.tempdir = None  # as TMPDIR says now
        constants.HF_HUB_OFFLINE = job["env"].get("HF_HUB_OFFLINE") == "1"
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for number, path in ((1, job.get("stdout", output)), (2, errors)):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT, 0o666), number)
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        sys.stderr = open(  # noqa: SIM115
            2, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False
        )
        sys.argv = [job.get("script", "hyperinterp"), *job["argv"]]
        if "at" in job:
            interrupt_at(job["at"], job.get("signal", "SIGINT"))
        if "after" in job:
            signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(signal.SIGINT))
            signal.setitimer(signal.ITIMER_REAL, job["after"])
        if "script" in job:
            runpy.run_path(job["script"], run_name="__main__")
            code = 0
        else:
            main()
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else 98
    except BaseException as error:
        sys.stderr.write(f"Traceback: nobody caught {error!r}\n{traceback.format_exc()}")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except OSError:
                code = 120  # what Python's own exit gives then
        os._exit(code)


def main() -> None:
    """Run every job of every line; exit code, what was printed, and seconds."""
    for name in ("hyperinterp.comparison", "hyperinterp.training", "hyperinterp.cli.training",
                 "transformer_lens", "hyperinterp.report.writing"):  # fmt: skip
        importlib.import_module(name)
    for line in sys.stdin:
        given, found = map(Path, json.loads(line))
        found.write_text(json.dumps([_done(job) for job in json.loads(given.read_text())]))
        sys.stdout.write("done\n")
        sys.stdout.flush()


def _done(job: dict[str, Any]) -> dict[str, Any]:
    folder, start = Path(tempfile.mkdtemp()), time.monotonic()
    count = job.get("processes", 1)
    launch = {} if count == 1 else {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1"}
    if launch:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            launch["MASTER_PORT"] = str(free.getsockname()[1])
    children = []
    for rank in range(count):
        child = os.fork()
        if child == 0:
            mine = launch and {**launch, "RANK": str(rank), "LOCAL_RANK": str(rank)}
            places = (folder / f"{name}{rank}" for name in ("out", "err"))
            in_child({**job, "env": {**job["env"], **mine}}, *places)
        children.append(child)
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    return {
        "code": next((code for code in codes if code), 0),
        "stdout": "".join(_text(folder / f"out{rank}") for rank in range(count)),
        "stderr": "".join(_text(folder / f"err{rank}") for rank in range(count)),
        "seconds": time.monotonic() - start,
    }


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""


if __name__ == "__main__":
    main()
