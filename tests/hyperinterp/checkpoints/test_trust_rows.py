"""The rows of `benchmarks/trust.py` on files, with the controls that show what they would miss."""

import pytest

from hyperinterp.checkpoints import building, bundle, sandbox, staging, zipscreen
from hyperinterp.checkpoints.screen import Screened
from hyperinterp.errors import InputRefused
from tests.hyperinterp.checkpoints import config_rows, hostile, trust_rows


def test_configs_run_nothing_and_open_no_socket(made, tmp_path):
    rows = config_rows.config_rows(made, tmp_path)
    assert len(rows) >= 30
    for row in rows:
        assert row["kept"], row
        assert row["one_line"], row
        assert (row["reached"], row["imports"], row["sockets"], row["executed"]) == (0, 0, 0, False)


def test_control_without_the_screen_a_config_reaches_transformers(made, tmp_path, monkeypatch):
    def reached(_root):  # a model of a billion blocks is not begun
        raise InputRefused("this configuration has reached transformers; expected none")

    monkeypatch.setattr(building, "read_config", reached)
    monkeypatch.setattr(staging, "screen_model_config", lambda value, what: Screened(dict(value)))
    rows = config_rows.config_rows(made, tmp_path)
    assert sum(row["reached"] for row in rows) >= 15


def test_control_a_socket_would_be_counted():
    import socket

    with config_rows.counted_sockets() as found:
        socket.SocketType().close()
    assert found == ["socket.__new__"]


def test_adapters_are_refused_before_peft(made, tmp_path):
    rows = config_rows.adapter_rows(made, tmp_path)
    assert len(rows) >= 35
    for row in rows:
        assert row["kept"], row
        assert (row["reached"], row["one_line"]) == (0, True)
        assert row["cpu_seconds"] < 5


def test_control_without_the_schema_an_adapter_reaches_peft(made, tmp_path, monkeypatch):
    monkeypatch.setattr(staging, "screen_adapter_config", lambda value: dict(value))
    monkeypatch.setattr(config_rows, "ADAPTERS", {"task": {"task_type": "SEQ_CLS"}})
    rows = config_rows.adapter_rows(made, tmp_path)
    assert rows[0]["reached"] == 1


@pytest.mark.full
def test_control_the_remote_code_does_run_and_the_regex_does_hang(made, tmp_path):
    assert config_rows.config_control(made, tmp_path)
    assert config_rows.adapter_control()


def test_no_path_leads_out(made, tmp_path):
    rows = config_rows.path_rows(made, tmp_path)
    assert len(rows) >= 16
    for row in rows:
        assert row["refused"], row
        assert (row["one_line"], row["escaped"]) == (True, [])


def test_control_without_the_path_rule_a_link_is_followed(made, tmp_path, monkeypatch):
    monkeypatch.setattr(staging, "within", lambda root, path: path.resolve())
    case = config_rows.path_cases(made, tmp_path)["link model.safetensors"]
    assert not trust_rows.outcome(case)["refused"]


def test_control_without_any_screen_the_child_executes_nothing_but_is_reached(
    tmp_path, monkeypatch
):
    """Each line of defence is needed: without the opcode screen and the child, a gadget runs."""
    gadget, sentinel = hostile.gadgets(tmp_path / "fired")["builtins.exec"], tmp_path / "fired"
    path = tmp_path / "x.pt"
    path.write_bytes(hostile.as_zip(gadget, sealed=True))
    monkeypatch.setattr(zipscreen, "check_pickle", lambda *_: None)
    assert trust_rows.outcome(lambda: trust_rows.read_through(path))["refused"]
    assert not sentinel.exists()

    def careless(path, folder):
        import torch

        torch.load(path, weights_only=False)

    monkeypatch.setattr(bundle, "convert_untrusted", careless)
    trust_rows.outcome(lambda: trust_rows.read_through(path))
    assert sentinel.exists()


def test_control_without_limits_a_bomb_is_not_stopped_in_time(tmp_path, monkeypatch):
    """The child's own CPU limit is what ends a file that hangs: with more of it, it goes on."""
    import subprocess
    import sys
    from pathlib import Path

    path = tmp_path / "hang.pt"
    path.write_bytes(hostile.explosions()["tuple-hash"])
    (tmp_path / "work").mkdir()
    with pytest.raises(sandbox.UnsafeFile, match="time limit"):
        sandbox.convert_untrusted(path, tmp_path / "work")
    child = Path(sandbox.__file__).with_name("_child.py").read_text(encoding="utf-8")
    unlimited = tmp_path / "_child.py"
    call = '    limit_resources(size, 1 if asked["bundle"] else COPIES)\n'
    unlimited.write_text(child.replace(call, ""), encoding="utf-8")
    assert unlimited.read_text() != child
    loose = subprocess.Popen(
        [sys.executable, "-P", str(unlimited), str(tmp_path / "work"), str(path)],
        cwd=tmp_path, stdin=subprocess.PIPE,
    )  # fmt: skip
    assert loose.stdin is not None
    loose.stdin.write(b'{"bundle": true, "under": [null]}')
    loose.stdin.close()
    used = 0.0
    try:
        while used < 6 and loose.poll() is None:
            fields = Path(f"/proc/{loose.pid}/stat").read_text().rpartition(")")[2].split()
            used = (int(fields[11]) + int(fields[12])) / 100
    finally:
        loose.kill()
        loose.wait()
    assert used >= 6, "it ended by itself"
