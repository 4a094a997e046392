"""Ctrl-C, sockets and a full stdout, on real commands in real processes."""

import pytest

from tests import cli_rows


@pytest.mark.parametrize("random_trials", [3, pytest.param(30, marks=pytest.mark.full)])
def test_ctrl_c_says_so_and_leaves_nothing_half_written(tmp_path, random_trials):
    rows = cli_rows.interrupt_rows(tmp_path, random_trials=random_trials, seed=random_trials)
    placed = [row for row in rows if ":" in row["when"]]
    assert len(placed) == sum(map(len, cli_rows.PLACES.values()))
    assert [row for row in placed if row["code"] != 130] == []
    for row in rows:
        assert row["code"] in (130, 0), row
        assert row["said"] or row["code"] == 0, row
        assert row["hint"], row
        assert row["half_written"] == [], row
        assert row["readable"], row


def test_no_command_opens_a_socket_unless_a_hub_id_was_named(tmp_path):
    *rows, control = cli_rows.offline_rows(tmp_path)
    for row in rows:
        assert row["code"] == row["expected"], row
        assert row["sockets"] == 0, row
    offline = next(row for row in rows if row["name"] == "a Hub id, offline")
    assert "or name a local directory" in offline["stderr"]
    # Positive control: a name that only the Hub can know does reach for the network.
    assert control["code"] == 2, control
    assert control["sockets"] > 0, control


def test_a_full_stdout_is_said_in_one_line(tmp_path):
    for row in cli_rows.full_stdout_rows(tmp_path):
        assert row["code"] == 3, row
        assert row["stderr"].count("\n") == 1
        assert "disk is full" in row["stderr"]
