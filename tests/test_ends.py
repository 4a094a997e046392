"""How commands end: by signals as by Ctrl-C, leaving nothing behind, and with lines on the way."""

import io
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hyperinterp.checkpoints.private import private_directory, sweep_temporary
from hyperinterp.cli.main import explain
from hyperinterp.cli.places import expanded, remedy
from hyperinterp.cli.progress import Reporter

ROOT = Path(__file__).resolve().parent.parent

SCENE = '''
"""Every signal meets a command that writes an output, unpacks a file and has a child process."""
import importlib, json, os, signal, subprocess, sys, time
from pathlib import Path

from hyperinterp.checkpoints.files import publish_directory
from hyperinterp.checkpoints.private import private_directory

place = Path(sys.argv[1])
command = importlib.import_module("hyperinterp.cli.main")


def work(arguments):
    def fill(partial):
        (partial / "half").write_text("half")
        with private_directory() as folder:
            (folder / "unpacked").write_text("unpacked")
            subprocess.run(["sh", "-c", 'echo $$ > "$0"; exec sleep 60', str(place / "mark")])

    publish_directory(place / "out", fill, force=False)


command._run = work
found = {}
for name in sys.argv[2:]:
    (place / "mark").unlink(missing_ok=True)
    pid = os.fork()
    if pid == 0:
        sys.argv = ["hyperinterp"]
        if name == "nohup":
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
        command.main()
    number = signal.SIGHUP if name == "nohup" else getattr(signal, name)
    while not (place / "mark").exists() or not (place / "mark").read_text():
        time.sleep(0.02)
    child = int((place / "mark").read_text())
    time.sleep(0.5)  # so that the command is past starting it
    os.kill(pid, number)
    if name == "nohup":
        time.sleep(0.3)
        alive = os.waitpid(pid, os.WNOHANG) == (0, 0)
        os.kill(pid, signal.SIGTERM)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    try:
        os.kill(child, 0)
        left = ["child"]
    except ProcessLookupError:
        left = []
    (place / "mark").unlink()
    left += [p.name for folder in (place, Path(os.environ["TMPDIR"])) for p in folder.iterdir()]
    left = [name for name in left if not name.startswith("torchinductor")]  # torch's own cache
    if name == "SIGKILL":
        os.kill(child, signal.SIGKILL)
        with private_directory() as folder:
            after = [p.name for p in folder.parent.glob("hyperinterp-*") if p != folder]
        found["after the next run"] = after
    found[name] = [code, left]
    if name == "nohup":
        found["went on"] = alive
print(json.dumps(found))
'''


def test_every_signal_leaves_nothing_behind(tmp_path: Path) -> None:
    """SIGTERM and SIGHUP clean up; what SIGKILL leaves in TMPDIR, the next run removes."""
    scene, place, temporary = tmp_path / "scene.py", tmp_path / "place", tmp_path / "tmp"
    scene.write_text(SCENE)
    place.mkdir()
    temporary.mkdir()
    names = ("SIGINT", "SIGTERM", "SIGHUP", "nohup", "SIGKILL")
    done = subprocess.run(
        [sys.executable, str(scene), str(place), *names],
        capture_output=True, text=True, timeout=240, check=False, start_new_session=True,
        env={**os.environ, "TMPDIR": str(temporary), "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["SIGINT"] == [130, []]
    assert found["SIGTERM"] == [143, []]
    assert found["SIGHUP"] == [129, []]
    assert found["nohup"] == [143, []]
    assert found["went on"]
    code, left = found["SIGKILL"]
    assert code == -9
    assert any(name.startswith("hyperinterp-") for name in left)
    assert found["after the next run"] == []
    told = [line for line in done.stderr.splitlines() if line]
    assert [line.partition(":")[0] for line in told] == [
        "interrupted", "ended by SIGTERM", "ended by SIGHUP", "ended by SIGTERM",
    ]  # fmt: skip


def test_only_what_dead_processes_of_this_host_left_is_swept(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    host = socket.gethostname()
    dead = f"hyperinterp-{host}-{ended.pid}-abc"
    kept = [
        f"hyperinterp-{host}-{os.getpid()}-abc", f"hyperinterp-elsewhere-{ended.pid}-abc",
        f"hyperinterp-{host}-x-abc", "hyperinterp-abc",
    ]  # fmt: skip
    for name in (dead, *kept):
        (tmp_path / name).mkdir()
    (tmp_path / f"{dead}-link").symlink_to(tmp_path / kept[0])
    sweep_temporary(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {*kept, f"{dead}-link"}


def test_no_place_for_temporary_files_names_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hyperinterp.errors import InputRefused

    def nowhere() -> str:
        raise FileNotFoundError(2, "No usable temporary directory found in ['/tmp']")

    monkeypatch.setattr("tempfile.gettempdir", nowhere)
    with pytest.raises(InputRefused, match="set TMPDIR"), private_directory():
        pass
    line, code = explain(FileNotFoundError(2, "No usable temporary directory found in ['/tmp']"))
    assert code == 2
    assert "set TMPDIR" in line


@pytest.mark.parametrize(
    ("variable", "below"),
    [
        ("HYPERINTERP_CACHE", "own/smollm2"),
        ("HF_HOME", "hub/models--x/blobs/1"),
        ("TMPDIR", "tmp/x"),
        ("XDG_CACHE_HOME", "cache/torch/kernels"),
        ("HOME", "home/.config/x"),
    ],
)
@pytest.mark.parametrize("number", [13, 28, 30])
def test_a_path_that_cannot_be_used_names_its_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, below: str, number: int
) -> None:
    for name, folder in (
        ("HYPERINTERP_CACHE", "own"), ("HF_HOME", "hub"), ("TMPDIR", "tmp"),
        ("XDG_CACHE_HOME", "cache"), ("HOME", "home"),
    ):  # fmt: skip
        monkeypatch.setenv(name, str(tmp_path / folder))
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path / "tmp"))
    line, code = explain(OSError(number, os.strerror(number), str(tmp_path / below)))
    assert code == (3 if number == 28 else 2)
    assert f"set {variable} to a directory" in line
    assert "choose another place" in remedy(tmp_path / "elsewhere")


def test_no_home_names_the_variables() -> None:
    line, code = explain(RuntimeError("Could not determine home directory."))
    assert code == 2
    assert "set HOME" in line
    assert "HYPERINTERP_CACHE" in line


def test_a_tilde_is_the_home_directory_in_every_option(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/somewhere")
    assert expanded("--out=~/x") == "--out=/somewhere/x"
    assert expanded("~/a~b") == "/somewhere/a~b"
    assert expanded("--corpus=~") == "--corpus=/somewhere"
    for plain in ("--out=x~/y", "./~/x", "--claims=C1", "a~", "~nobody-of-this-name/x"):
        assert expanded(plain) == plain


def _told(monkeypatch: pytest.MonkeyPatch, every: float, report) -> list[str]:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    with Reporter(every=every) as reporter:
        report(reporter)
    return stream.getvalue().splitlines()


def test_a_pipe_gets_a_line_at_once_at_an_interval_and_at_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def slow(reporter: Reporter) -> None:
        for step in range(1, 4):
            reporter("training", step, 400, f"loss {4 - step}.000")
            time.sleep(0.15)

    lines = _told(monkeypatch, 0.05, slow)
    assert lines[0] == "training: 1 of 400, loss 3.000 (a line every 0.05 s)"
    assert len(lines) >= 5, "the interval is kept also between two reports"
    assert all(line.startswith("training: ") and "loss " in line for line in lines)
    assert any(line.endswith(" left") for line in lines)
    assert lines[-1].startswith("training: 3 of 400 in ")
    assert lines[-1].endswith(" s loss 1.000")


def test_a_short_task_is_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def short(reporter: Reporter) -> None:
        reporter("reading", 0, 2)
        for _ in range(2):
            reporter("reading", 2, 2)
        reporter("writing", 1, 8)
        reporter("writing", 8, 8)

    lines = _told(monkeypatch, 60.0, short)
    assert [line.partition(" in ")[0] for line in lines] == [
        "reading: 0 of 2 (a line every 60 s)", "reading: 2", "writing: 8",
    ]  # fmt: skip


def test_the_time_of_a_task_ends_with_its_last_report(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("hyperinterp.cli.progress.time.monotonic", lambda: clock[0])

    def stopped_early(reporter: Reporter) -> None:
        reporter("training", 0, 9)
        clock[0] = 5.0
        reporter("training", 4, 9)
        clock[0] = 90.0

    assert _told(monkeypatch, 60.0, stopped_early)[-1] == "training: 4 of 9 in 5.0 s"


def test_an_error_still_gets_the_last_line(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)

    def interrupted() -> None:
        with Reporter(every=60.0) as reporter:
            reporter("training", 7, 9)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert "training: 7 of 9 in" in stream.getvalue().splitlines()[-1]
    stream.truncate(0)
    with Reporter(quiet=True) as reporter:
        reporter("training", 1, 9)
    assert stream.getvalue() == ""
