"""Pickles: none is run, whatever it is wrapped in."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from hyperinterp.checkpoints import load_checkpoint, zipscreen
from hyperinterp.errors import CorruptFile, UnsafeFile
from tests.hyperinterp.checkpoints import hostile, trust_rows


def test_every_hostile_pickle_is_refused_and_none_runs(tmp_path):
    rows = trust_rows.pickle_rows(tmp_path)
    assert len(rows) >= 100
    assert [r for r in rows if not r["refused"] or not r["one_line"]] == []
    assert [r["name"] for r in rows if r["executed"]] == []
    assert max(r["cpu_seconds"] for r in rows) < 5


def test_the_child_alone_refuses_them_too(tmp_path):
    rows = trust_rows.pickle_rows_child_only(tmp_path, every=23)
    assert [r for r in rows if not r["refused"]] == []
    assert [r["name"] for r in rows if r["executed"]] == []


@pytest.mark.full
def test_the_child_alone_refuses_all_of_them(tmp_path):
    rows = trust_rows.pickle_rows_child_only(tmp_path)
    assert len(rows) >= 20
    assert [r for r in rows if not r["refused"] or r["executed"]] == []


def test_control_the_gadgets_do_fire_without_care(tmp_path):
    rows = trust_rows.pickle_control(tmp_path)
    silent = {r["name"] for r in rows if not r["fired"]}
    loadable = [r for r in rows if not r["name"].endswith("tar")]
    assert not {r["name"] for r in loadable} & silent, silent
    assert sum(r["fired"] for r in rows) >= 80


def run_explosions(tmp_path: Path, *, child_only: bool, foreign: bool = False) -> list[dict]:
    code = (
        "import sys, json; from pathlib import Path;"
        "from tests.hyperinterp.checkpoints import trust_rows as t;"
        f"print(json.dumps(t.explosion_rows(Path({str(tmp_path)!r}), child_only={child_only},"
        f" foreign={foreign})))"
    )
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def test_files_that_hang_or_explode_are_refused_quickly_within_a_memory_cap(tmp_path):
    rows = run_explosions(tmp_path, child_only=False)
    assert len(rows) == 18
    assert [r for r in rows if not r["refused"]] == []
    assert [(r["name"], r["cpu_seconds"]) for r in rows if r["cpu_seconds"] > 5] == []
    assert max(r["child_mib"] for r in rows) < 1500
    assert max(r["own_mib"] for r in rows) < 700  # the 256 MiB bomb is never inflated by us


@pytest.mark.full
def test_the_child_alone_refuses_what_hangs_or_explodes(tmp_path):
    rows = run_explosions(tmp_path, child_only=True)
    accepted = [r["name"] for r in rows if not r["refused"]]
    assert set(accepted) <= {"overlapping members"}, rows
    assert max(r["child_mib"] for r in rows) < 1800


def test_pickles_under_other_names_are_refused_and_none_runs(tmp_path):
    rows = trust_rows.disguised_rows(tmp_path, every=13)
    assert len(rows) >= 80
    assert [r for r in rows if not r["refused"] or not r["one_line"]] == []
    assert [r["name"] for r in rows if r["executed"]] == []
    assert max(r["cpu_seconds"] for r in rows) < 5


@pytest.mark.full
def test_all_pickles_under_other_names_are_refused_and_none_runs(tmp_path):
    rows = trust_rows.disguised_rows(tmp_path)
    assert len(rows) >= 1000
    assert [r for r in rows if not r["refused"] or not r["one_line"] or r["executed"]] == []


def test_the_child_alone_refuses_those_too(tmp_path):
    rows = trust_rows.disguised_rows_child_only(tmp_path, every=600)
    assert len(rows) == 2
    assert [r for r in rows if not r["refused"] or r["executed"]] == []


def test_control_under_other_names_they_do_fire_without_care(tmp_path):
    rows = trust_rows.disguised_control(tmp_path, every=13)
    silent = {r["name"] for r in rows if not r["fired"]}
    assert {name for name in silent if " tar " not in name} == set()
    assert sum(r["fired"] for r in rows) >= 80


def test_state_dicts_that_hang_or_explode_are_refused_quickly(tmp_path):
    rows = run_explosions(tmp_path, child_only=False, foreign=True)
    assert len(rows) >= 40
    assert [r for r in rows if not r["refused"]] == []
    assert [(r["name"], r["cpu_seconds"]) for r in rows if r["cpu_seconds"] > 8] == []
    assert max(r["own_mib"] for r in rows) < 700


def test_control_without_the_opcode_screen_the_child_is_what_refuses(tmp_path, monkeypatch):
    path = tmp_path / "x.pt"
    path.write_bytes(hostile.as_zip(hostile.gadgets(tmp_path / "s")["os.system"], sealed=True))
    with pytest.raises(UnsafeFile, match="names"):
        load_checkpoint(path)
    monkeypatch.setattr(zipscreen, "check_pickle", lambda *a: None)
    with pytest.raises(UnsafeFile, match="not a plain bundle"):
        load_checkpoint(path)
    assert not (tmp_path / "s").exists()


def test_control_without_the_trailer_a_flip_in_padding_goes_unseen(made, tmp_path, monkeypatch):
    content = bytearray((made / "adapter.pt").read_bytes())
    place = content.index(b"FB") + 4 + 3  # inside torch's alignment padding
    content[place] ^= 1
    path = tmp_path / "flipped.pt"
    path.write_bytes(content)
    with pytest.raises(CorruptFile, match="differ"):
        trust_rows.read_through(path)
    monkeypatch.setattr(zipscreen, "check_trailer", lambda path: "")
    trust_rows.read_through(path)
