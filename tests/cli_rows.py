"""The rows of the trust table on the whole command line: Ctrl-C, sockets, and a full stdout."""

import atexit
import json
import os
import random
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from hyperinterp.checkpoints import save_checkpoint
from hyperinterp.report.schema import Report
from hyperinterp.training import run_directory
from hyperinterp.training.resume import newest_point
from tests.hyperinterp.training import factory

ROOT = Path(__file__).parents[1]
# Every socket is refused and written down, in this process and in its children.
_SITE = """
import os, sys
_EVENTS = {"socket.__new__", "socket.connect", "socket.getaddrinfo", "socket.gethostbyname",
           "socket.sendto", "socket.bind"}
def _refuse(event, arguments):
    if event in _EVENTS:
        with open(os.environ["SOCKET_LOG"], "a") as log:
            log.write(event + "\\n")
        raise OSError("no network in this test")
sys.addaudithook(_refuse)
"""
# Where Ctrl-C comes: a function of the command, and which of its calls.
PLACES: dict[str, list[str]] = {
    "train": [
        "hyperinterp.training.starting:load:1",
        "hyperinterp.training.running:build_prefix:1",
        "hyperinterp.training.output:link_tree:1",
        "hyperinterp.training.output:save_adapter:1",
    ],
    "compare": [
        "hyperinterp.comparison:taken:2",
        "hyperinterp.runs.passes:run_pair:1",
        "hyperinterp.generations:write_all:1",
        "hyperinterp.report.writing:write_bytes:1",
        "hyperinterp.report.writing:write_bytes:4",
        "hyperinterp.report.writing:fsync_path:1",
    ],
    "export": [
        "hyperinterp.checkpoints.export:open_source:1",
        "hyperinterp.checkpoints.export:write_bundle:1",
        "hyperinterp.checkpoints.files:fsync_path:1",
    ],
    "inspect": ["hyperinterp.checkpoints.opening:stage_bundle:1"],
}


def _environment(**variables: str) -> dict[str, str]:
    paths = [variables.pop("PYTHONPATH", ""), str(ROOT), os.environ.get("PYTHONPATH", "")]
    return {
        **os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "NO_COLOR": "1",
        **variables, "PYTHONPATH": os.pathsep.join(path for path in paths if path),
    }  # fmt: skip


def _driver(**variables: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, str(ROOT / "tests" / "driver.py")], env=_environment(**variables),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def _end(driver: "subprocess.Popen[str]") -> None:
    with driver:
        assert driver.stdin is not None
        driver.stdin.close()
        driver.wait(timeout=60)


@cache
def _shared_driver() -> "subprocess.Popen[str]":
    """The driver of this process: what it imports is imported once."""
    driver = _driver()
    atexit.register(_end, driver)
    return driver


def run_jobs(jobs: list[dict[str, Any]], folder: Path, **variables: str) -> list[dict[str, Any]]:
    """Run commands through `driver.py`; in one of its own if the imports see another PYTHONPATH."""
    alone = "PYTHONPATH" in variables
    driver = _driver(**variables) if alone else _shared_driver()
    found = _begun(driver, jobs, folder, _environment(**variables))
    _ended(driver)
    if alone:
        _end(driver)
    return json.loads(found.read_text())


def _begun(
    driver: "subprocess.Popen[str]", jobs: list[dict[str, Any]], folder: Path, env: dict[str, str]
) -> Path:
    given, found = folder / "jobs.json", folder / "results.json"
    complete = [
        {"cwd": str(Path.cwd()), **job, "env": {**env, **job.get("env", {})}} for job in jobs
    ]
    given.write_text(json.dumps(complete))
    assert driver.stdin is not None
    driver.stdin.write(json.dumps([str(given), str(found)]) + "\n")
    driver.stdin.flush()
    return found


def _ended(driver: "subprocess.Popen[str]") -> None:
    assert driver.stdout is not None
    assert select.select([driver.stdout], [], [], 2400)[0], "the jobs did not end"
    assert driver.stdout.readline() == "done\n", "the driver ended"


@contextmanager
def meanwhile(script: str, folder: Path, *argv: str) -> Iterator[int]:
    """Another process that runs a script; killed with SIGKILL at the end of the context.

    Args:
        script: Python; it writes the number of its process into the file that its last argument
            names once the context may begin.
        folder: for its files.
        argv: its arguments before that.

    Yields:
        The number of the process.
    """
    file, mark, driver = folder / "meanwhile.py", folder / "its-number", _shared_driver()
    file.write_text(script, encoding="utf-8")
    _begun(driver, [{"script": str(file), "argv": [*argv, str(mark)]}], folder, _environment())
    until = time.monotonic() + 240
    while not (mark.exists() and mark.read_text()) and time.monotonic() < until:
        time.sleep(0.02)
    number = int(mark.read_text())
    try:
        yield number
    finally:
        os.kill(number, signal.SIGKILL)
        _ended(driver)


def prepared(folder: Path) -> dict[str, str]:
    """A tiny pair, a bundle of it, and passages, on disk."""
    for seed in (0, 1):
        save_checkpoint(
            factory.tiny_hf("llama", seed), factory.byte_tokenizer(), folder / f"m{seed}",
            provenance={},
        )  # fmt: skip
    lines = [json.dumps({"text": item.text}) for item in factory.letters(16, 4, 30, 50)]
    (folder / "texts.jsonl").write_text("\n".join(lines))
    (folder / "fewer.yaml").write_text(
        "sizes: {new_tokens: 16, window: 16, context_tokens: 24, contexts_per_prompt: 4, "
        "variants: [], sweep: [], order_contexts: 16, lens_contexts: 8}"
    )
    return {name: str(folder / name) for name in ("m0", "m1", "texts.jsonl", "fewer.yaml")}


def commands(files: dict[str, str], out: Path) -> dict[str, list[str]]:
    """One command of each kind on the tiny pair, which writes below `out`."""
    return {
        "train": ["train", files["m0"], "--data", files["texts.jsonl"], "--out", str(out / "twin"),
                  "--blocks", "last:2", "--rank", "4", "--max-steps", "20", "--batch-size", "4"],
        "compare": ["compare", files["m0"], files["m1"], "--prompts", files["texts.jsonl"],
                    "--claims", "C1,C4", "--quick", "--config", files["fewer.yaml"],
                    "--out", str(out / "report")],
        "export": ["export", files["m0"], str(out / "m.pt")],
        "inspect": ["inspect", files["m0"]],
    }  # fmt: skip


def interrupt_rows(folder: Path, *, random_trials: int, seed: int) -> list[dict[str, Any]]:
    """Ctrl-C at chosen places of every command, and at random times."""
    files, draw = prepared(folder), random.Random(seed)
    run_jobs([{"argv": ["export", files["m0"], str(folder / "whole.pt")]}], folder)
    jobs: list[dict[str, Any]] = []
    for command, places in PLACES.items():
        for place in places:
            jobs.append({"command": command, "at": place})
    for number in range(random_trials):
        command = ("train", "compare", "export")[number % 3]
        longest = {"train": 2.0, "compare": 3.0, "export": 0.4}[command]
        jobs.append({"command": command, "after": draw.uniform(0.01, longest)})
    for number, job in enumerate(jobs):
        out = folder / f"out-{number}"
        out.mkdir()
        job["out"] = str(out)
        job["argv"] = commands(files, out)[job["command"]]
        if job["command"] == "inspect":
            job["argv"] = ["inspect", str(folder / "whole.pt")]
    found = run_jobs(jobs, folder)
    return [_after_interrupt(job, result) for job, result in zip(jobs, found, strict=True)]


def _after_interrupt(job: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
    out = Path(job["out"])
    left = sorted(path.name for path in out.iterdir())
    run = run_directory(out / "twin")
    whole = {"twin", "report", "m.pt"} & set(left)
    readable = True
    if "report" in whole:
        readable = isinstance(Report.read(out / "report"), Report)
    return {
        "command": job["command"],
        "when": job.get("at") or f"{job['after']:.2f} s",
        "code": result["code"],
        "said": "interrupted" in result["stderr"] and "Traceback" not in result["stderr"],
        "hint": "resume" in result["stderr"] or not run.exists(),
        "resumable": run.exists() and newest_point(run) is not None,
        "half_written": [n for n in left if n not in {"twin", "twin.run", "report", "m.pt"}],
        "complete": sorted(whole),
        "readable": readable,
        "stderr": result["stderr"][-300:],
    }


def offline_rows(folder: Path) -> list[dict[str, Any]]:
    """The whole path with every socket refused: exit codes, and the socket calls that were made."""
    files = prepared(folder)
    site, log, out = folder / "site", folder / "sockets.log", folder / "out"
    site.mkdir()
    out.mkdir()
    (site / "sitecustomize.py").write_text(_SITE)
    there = folder / "there"
    (there / "owner").mkdir(parents=True)
    (there / "owner" / "model").symlink_to(files["m0"])
    usual = commands(files, out)
    usual["train"][usual["train"].index("20")] = "4"
    empty = {"HF_HOME": str(folder / "hub"), "HF_HUB_CACHE": str(folder / "hub")}
    bundle, twin, hub = str(out / "m.pt"), str(out / "twin"), "nobody-here/no-such-model"
    jobs: list[dict[str, Any]] = [
        {"name": "inspect", "argv": usual["inspect"], "expected": 0},
        {"name": "export", "argv": usual["export"], "expected": 0},
        {"name": "load a bundle", "argv": ["inspect", bundle], "expected": 0},
        {"name": "train", "argv": usual["train"], "expected": 0},
        {"name": "inspect an adapter", "argv": ["inspect", twin, "--json"], "expected": 0},
        {"name": "compare and report", "argv": usual["compare"], "expected": 0},
        {"name": "demo --help", "argv": ["demo", "--help"], "expected": 0},
        {"name": "a Hub id, offline", "argv": ["inspect", hub], "expected": 2, "env": empty},
        {"name": "a path spelled like a Hub id", "argv": ["inspect", "owner/model"],
         "expected": 0, "cwd": str(there)},
        {"name": "a path that is not there", "argv": ["inspect", "./owner/model"], "expected": 2},
        {"name": "control: a Hub id, online", "argv": ["inspect", hub], "expected": 2,
         "env": empty | {"HF_HUB_OFFLINE": "0"}},
    ]  # fmt: skip
    logs = [folder / f"{log.stem}-{number}" for number in range(len(jobs))]
    for job, own in zip(jobs, logs, strict=True):
        job["env"] = {**job.get("env", {}), "SOCKET_LOG": str(own)}
    found = run_jobs(jobs, folder, PYTHONPATH=str(site), SOCKET_LOG=str(log))
    assert not log.exists(), "a socket was opened while importing"
    return [
        {
            "name": job["name"],
            "expected": job["expected"],
            "code": result["code"],
            "sockets": len(own.read_text().splitlines()) if own.exists() else 0,
            "stderr": result["stderr"][-400:],
        }
        for job, result, own in zip(jobs, found, logs, strict=True)
    ]


def full_stdout_rows(folder: Path) -> list[dict[str, Any]]:
    """Results printed to a device that is full: exit code 3 and one line, never a traceback."""
    files = prepared(folder)
    jobs = [
        {"argv": ["inspect", files["m0"], "--json"], "stdout": "/dev/full"},
        {"argv": ["inspect", files["m0"]], "stdout": "/dev/full"},
        {"argv": ["--help"], "stdout": "/dev/full"},
    ]
    return run_jobs(jobs, folder)
