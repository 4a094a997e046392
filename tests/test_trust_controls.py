"""Guards taken out: the checks of writing, resuming and interrupting are shown to notice.

The other controls stand beside their checks: `test_control_*` in tests/hyperinterp.
"""

import contextlib
import errno
import importlib
import json
import os
import sys

import pytest

from hyperinterp.checkpoints import files, manifest, verify_directory, write_directory, write_file
from hyperinterp.errors import CorruptFile
from hyperinterp.training import resume
from tests.hyperinterp.checkpoints.writing_rows import fill

main_module = importlib.import_module("hyperinterp.cli.main")  # the package shows a function


def in_place(out, writer, *, force):
    """What `publish_directory` must not be."""
    out.mkdir(exist_ok=True)
    for path in sorted(out.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    writer(out)
    return out


def test_without_the_rename_a_broken_writer_loses_the_old_directory(tmp_path, monkeypatch):
    def broken(folder):
        fill(2)(folder)
        raise KeyboardInterrupt

    out = tmp_path / "out"
    write_directory(out, fill(1), provenance={})
    with pytest.raises(KeyboardInterrupt):
        write_directory(out, broken, provenance={}, force=True)
    assert json.loads((out / "config.json").read_text()) == {"number": 1}
    monkeypatch.setattr(manifest, "publish_directory", in_place)
    with pytest.raises(KeyboardInterrupt):
        write_directory(out, broken, provenance={}, force=True)
    assert json.loads((out / "config.json").read_text()) == {"number": 2}
    assert verify_directory(out) is None  # half written, and nothing says so


def test_without_the_manifest_a_broken_resume_point_is_taken(tmp_path, monkeypatch):
    def point(folder):
        (folder / "state.json").write_text(json.dumps({"state": {}}))
        (folder / "trainable.safetensors").write_bytes(b"x" * 100)

    for step in (1, 2):
        write_directory(tmp_path / f"step-{step}", point, provenance={"step": step})
    (tmp_path / "step-2" / "trainable.safetensors").write_bytes(b"x" * 99)
    found = resume.newest_point(tmp_path)
    assert found is not None
    assert found.step == 1
    monkeypatch.setattr(resume, "verify_directory", manifest.read_manifest)
    found = resume.newest_point(tmp_path)
    assert found is not None
    assert found.step == 2


def test_without_the_translation_a_full_disk_is_a_bare_error(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    monkeypatch.setattr(files, "translate_io_errors", contextlib.nullcontext)
    with pytest.raises(OSError, match="No space"):
        write_file(tmp_path / "x.json", b"x")
    assert list(tmp_path.iterdir()) == []


def test_without_the_exchange_rule_an_existing_file_is_overwritten(tmp_path, monkeypatch):
    write_file(tmp_path / "x.json", b"old")
    monkeypatch.setattr(files, "_refuse_existing", lambda *_, **__: None)
    monkeypatch.setattr(files, "_renameat2", lambda *_: False)
    monkeypatch.setattr(os.path, "lexists", lambda path: False)
    write_file(tmp_path / "x.json", b"new")
    assert (tmp_path / "x.json").read_bytes() == b"new"


def test_a_file_list_without_digests_would_let_damage_through(tmp_path, monkeypatch):
    write_directory(tmp_path / "out", fill(1), provenance={})
    (tmp_path / "out" / "sub" / "data.bin").write_bytes(b"\x02" * 20_000)
    with pytest.raises(CorruptFile):
        verify_directory(tmp_path / "out")
    monkeypatch.setattr(manifest, "_check_file", lambda *_, **__: None)
    assert verify_directory(tmp_path / "out") is not None


@pytest.fixture
def interrupted_inspect(monkeypatch):
    """`inspect` on which Ctrl-C falls; returns (exit code, what was said)."""
    from hyperinterp import checkpoints

    def strike(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoints, "inspect_checkpoint", strike)
    monkeypatch.setattr(sys, "argv", ["hyperinterp", "inspect", "x"])

    def run(capsys):
        with pytest.raises(SystemExit) as left:
            main_module.main()
        return left.value.code, capsys.readouterr().err

    return run


def test_with_the_parser_s_own_handling_ctrl_c_is_silent(interrupted_inspect, capsys, monkeypatch):
    code, said = interrupted_inspect(capsys)
    assert code == 130
    assert said == "interrupted: nothing half-written was left behind\n"

    def swallowing(arguments):
        from hyperinterp.cli.app import app

        code = app(args=arguments, standalone_mode=False)
        if code:
            raise SystemExit(code)

    monkeypatch.setattr(main_module, "_run", swallowing)
    assert interrupted_inspect(capsys) == (130, "")
