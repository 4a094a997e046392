"""The command line: one clear line, the right exit code, nothing written."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from hyperinterp.cli.main import explain
from tests.cli_rows import run_jobs

HYPERINTERP = str(Path(sys.executable).with_name("hyperinterp"))
REFUSED = [
    (("compare", "./nowhere", "./nothing"), "nowhere"),
    (("compare", "smollm2", "./nothing.pt"), "nothing.pt"),
    (("compare", "smollm2", "smollm2", "--claims", "C99"), "C99"),
    (("compare", "smollm2", "smollm2", "--config", "none.yaml"), "none.yaml"),
    (("trace", "./nowhere", "--config", "/dev/null"), "/dev/null"),
    (("compare", "smollm2", "smollm2", "--preset", "huge"), "huge"),
    (("compare", "smollm2", "smollm2", "--dtype", "int3"), "int3"),
    (("compare", "smollm2", "smollm2", "--device", "abacus"), "abacus"),
    (("compare", "smollm2", "smollm2", "--batch-size", "0"), "batch_size"),
    (("compare", "smollm2", "smollm2", "--prompts", "none.jsonl"), "none.jsonl"),
    (("train", "smollm2", "--method", "magic", "--out", "x"), "magic"),
    (("train", "smollm2", "--save-at", "one", "--out", "x"), "save-at"),
    (("train", "smollm2", "--data", "none.jsonl", "--out", "x"), "none.jsonl"),
    (("train", "smollm2", "--data", "owner/nothing", "--out", "x"), "owner/nothing"),
    (("train", "smollm2", "--save-epochs", "1.5", "--out", "x"), "save-epochs"),
    (("train", "smollm2", "--blocks", "few", "--out", "x"), "blocks"),
    (("train", "smollm2", "--blocks", "", "--out", "x"), "blocks"),
    (("train", "smollm2", "--seeds", "a,b", "--out", "x"), "seeds"),
    (("train", "smollm2", "--blocks", "last:1,last:40", "--out", "x"), "30 blocks"),
    (("train", "smollm2", "--method", "lora", "--seeds", "0", "--blocks", "1-2,x"), "blocks"),
    (("train", "smollm2", "--schedule", "stairs", "--out", "x"), "stairs"),
    (("train", "smollm2", "--warmup", "-1", "--out", "x"), "warmup"),
    (("train", "smollm2", "--weight-decay", "-1", "--out", "x"), "weight_decay"),
    (("train", "smollm2", "--alpha", "0", "--out", "x"), "alpha"),
    (("trace", "./nowhere"), "nowhere"),
    (("study", "./nowhere", "--blocks", "last", "--out", "x"), "write last:5"),
    (("study", "./nowhere", "--cell", "9/2", "--out", "x"), "write 1/8"),
    (("study", "./nowhere", "--config", "none.yaml", "--out", "x"), "none.yaml"),
    (("study", "./nowhere", "--preset", "huge", "--out", "x"), "huge"),
    (("reports", "./nowhere"), "nowhere"),
    (("judge-sheet", "./nowhere", "--out", "x"), "nowhere"),
    (("judge-read", "./nowhere", "answers.csv"), "nowhere"),
    (("push", "./nowhere", "owner/name", "--license", "mit"), "nowhere"),
    (("trace", "./nowhere", "--preset", "huge"), "nowhere"),
    (("compare", "smollm2", "smollm2", "--out", "/proc/x"), "/proc/x"),
    (("compare", "smollm2", "smollm2", "--seed", "4294967296"), "seed"),
    (("train", "smollm2", "--out", "/proc/x"), "/proc/x"),
    (("train", "smollm2", "--seeds", "0,1", "--out", "/proc/x"), "/proc/x"),
    (("trace", "./nowhere", "--out", "/proc/x"), "/proc/x"),
    (("export", "./nowhere", "/proc/x.pt"), "/proc/x"),
    (("demo", "--out", "/proc/x"), "/proc/x"),
    (("demo", "--seed", "-1", "--out", "x"), "seed"),
    (("inspect", "./nowhere"), "nowhere"),
    (("export", "./nowhere", "out.pt"), "nowhere"),
    (("demo", "--preset", "huge", "--out", "x"), "huge"),
    (("frobnicate",), "frobnicate"),
]
"""Bad input of every command, and a word that its refusal has to name."""


def run(*arguments):
    return subprocess.run(
        [HYPERINTERP, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )


def all_of(folder, *commands, **variables):
    """Commands in processes forked from one, each in an empty directory: results by command."""
    jobs = []
    for number, arguments in enumerate(commands):
        place = folder / f"place-{number}"
        place.mkdir()
        jobs.append({"argv": list(map(str, arguments)), "cwd": str(place)})
    found = run_jobs(jobs, folder, **variables)
    for job, result in zip(jobs, found, strict=True):
        result["left"] = [path.name for path in Path(job["cwd"]).iterdir()]
    return dict(zip(commands, found, strict=True))


@pytest.fixture(scope="module")
def refused(tmp_path_factory):
    return all_of(tmp_path_factory.mktemp("refused"), *(arguments for arguments, _ in REFUSED))


@pytest.mark.parametrize(("arguments", "words"), REFUSED)
def test_bad_input_is_refused_in_one_line(refused, arguments, words):
    found = refused[arguments]
    assert found["code"] == 2, found["stderr"]
    assert words in found["stderr"]
    assert "Traceback" not in found["stderr"]
    assert found["left"] == []


def test_the_installed_command_refuses_alike(tmp_path, monkeypatch, refused):
    monkeypatch.chdir(tmp_path)
    arguments, words = REFUSED[0]
    found = run(*arguments)
    assert found.returncode == 2
    assert words in found.stderr
    assert found.stderr == refused[arguments]["stderr"]
    assert list(tmp_path.iterdir()) == []


def test_an_existing_output_is_refused_before_any_work(tmp_path):
    place = tmp_path / "mine"
    place.mkdir()
    (place / "keep").write_text("mine")
    commands = (
        ("compare", "smollm2", "smollm2", "--out", place),
        ("export", "smollm2", place / "keep"),
        ("train", "smollm2", "--out", place),
        ("demo", "--out", place),
    )
    forced = ("compare", "./nowhere", "./nothing", "--out", place, "--force")
    results = all_of(tmp_path, *commands, forced)
    found = results.pop(forced)
    assert found["code"] == 2
    assert "holds more than a report" in found["stderr"]
    for found in results.values():
        assert found["code"] == 2
        assert "--force" in found["stderr"]
        assert found["stdout"] == ""
    assert (place / "keep").read_text() == "mine"
    assert len(list(place.iterdir())) == 1


def test_a_command_for_one_process_refuses_a_launcher(tmp_path):
    commands = [
        ("trace", "run"),
        ("study", "model"),
        ("reports", "x"),
        ("judge-sheet", "x", "--out", "y"),
        ("judge-read", "x", "y.csv"),
        ("push", "x", "owner/name", "--license", "mit"),
        ("export", "model", "x.pt"),
        ("demo",),
    ]
    found = all_of(tmp_path, *commands, WORLD_SIZE="2", RANK="0")
    for (command, *_), result in found.items():
        assert result["code"] == 2
        assert f"{command}: expected one process, found WORLD_SIZE=2" in result["stderr"]
        assert result["left"] == []


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_no_fault(closed):
    found = subprocess.run(
        ["sh", "-c", f'"{HYPERINTERP}" --version {closed}'],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    assert found.stderr == ""
    assert (found.stdout == "") == (closed != "2>&-")


@pytest.mark.parametrize(
    "told",
    [
        "[gloo/pair.cc:547] Connection closed by peer [127.0.0.1]:1234",
        "connection was reset by peer",
    ],
)
def test_the_end_of_another_process_is_no_bug_of_this_one(monkeypatch, told):
    monkeypatch.setenv("WORLD_SIZE", "2")
    line, code = explain(RuntimeError(told))
    assert code == 2
    assert "another process ended" in line
    monkeypatch.delenv("WORLD_SIZE")
    assert explain(RuntimeError(told))[1] == 1


def test_help_is_there_for_every_command(tmp_path):
    names = (
        "compare", "plan", "train", "study", "reports", "trace", "export", "inspect", "demo",
        "judge-sheet", "judge-read", "push",
    )  # fmt: skip
    found = all_of(tmp_path, ("--help",), *((name, "--help") for name in names))
    assert all(result["code"] == 0 for result in found.values())
    assert all(name in found["--help",]["stdout"] for name in names)


@pytest.mark.real
def test_inspect_smollm2():
    found = run("inspect", "smollm2", "--json")
    assert found.returncode == 0, found.stderr
    for words in ("LlamaForCausalLM", "576", "49152"):
        assert words in found.stdout


@pytest.mark.real
def test_ctrl_c_leaves_nothing_half_written(tmp_path):
    out = tmp_path / "report"
    process = subprocess.Popen(
        [HYPERINTERP, "compare", "smollm2", "smollm2", "--quick", "--out", str(out)],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    first = process.stderr.readline()  # progress: the work has begun
    time.sleep(5)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=300)
    assert first.strip()
    assert process.returncode == 130, errors
    assert "interrupted" in errors
    assert "Traceback" not in errors
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried 9"),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("cusolver error: CUSOLVER_STATUS_ALLOC_FAILED, when calling `syevd`"),
    ],
)
def test_memory_that_runs_out_is_named_in_whatever_words(error):
    line, code = explain(error)
    assert code == 3
    assert line.startswith("error: memory ran out: try a smaller --batch-size")
    assert explain(ValueError("out of memory"))[1] == 1
