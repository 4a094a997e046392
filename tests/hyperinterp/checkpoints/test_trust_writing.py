"""Full disks, read-only places, crashes: the old file always still loads."""

import errno
import json
import os

import pytest

from hyperinterp.checkpoints import (
    export_bundle,
    load_checkpoint,
    save_checkpoint,
    verify_directory,
    write_directory,
    write_file,
)
from hyperinterp.checkpoints import files as files_module
from hyperinterp.errors import InputRefused, OutOfResources
from tests.hyperinterp.checkpoints.conftest import make_model
from tests.hyperinterp.checkpoints.writing_rows import (
    fill,
    full_disk_row,
    kill_rows,
    read_only_row,
)


def leftovers(folder):
    return [p.name for p in folder.iterdir() if p.name.startswith(".")]


def test_write_refuse_replace(tmp_path):
    out = tmp_path / "new" / "out"
    write_directory(out, fill(1), provenance={"n": 1})
    with pytest.raises(InputRefused, match="already exists"):
        write_directory(out, fill(2), provenance={})
    assert json.loads((out / "config.json").read_text()) == {"number": 1}
    write_directory(out, fill(2), provenance={"n": 2}, force=True)
    manifest = verify_directory(out)
    assert manifest is not None
    assert manifest.provenance == {"n": 2}
    assert set(manifest.files) == {"config.json", "sub/data.bin"}
    assert leftovers(out.parent) == []


def test_force_never_deletes_what_somebody_else_wrote(tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.tex").write_text("x")
    with pytest.raises(InputRefused, match="did not write; --force will not delete"):
        write_directory(tmp_path / "home", fill(1), provenance={}, force=True)
    (tmp_path / "link").symlink_to(tmp_path / "home")
    with pytest.raises(InputRefused, match="plain directory"):
        write_directory(tmp_path / "link", fill(1), provenance={}, force=True)
    with pytest.raises(InputRefused, match="plain file"):
        write_file(tmp_path / "home", b"x", force=True)
    assert (tmp_path / "home" / "thesis.tex").read_text() == "x"


@pytest.mark.parametrize("name", ["config.json", "adapter_config.json"])
def test_force_keeps_a_foreign_checkpoint(tmp_path, name):
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / name).write_text("{}")
    with pytest.raises(InputRefused, match="holds files that hyperinterp did not write"):
        write_directory(tmp_path / "theirs", fill(1), provenance={}, force=True)
    assert [path.name for path in (tmp_path / "theirs").iterdir()] == [name]


def test_an_empty_directory_may_be_filled(tmp_path):
    (tmp_path / "empty").mkdir()
    write_directory(tmp_path / "empty", fill(1), provenance={}, force=True)
    assert verify_directory(tmp_path / "empty") is not None


def test_write_file(tmp_path):
    out = tmp_path / "deep" / "x.json"
    write_file(out, b"one")
    with pytest.raises(InputRefused, match="already exists"):
        write_file(out, b"two")
    write_file(out, lambda p: p.write_bytes(b"three") and None, force=True)
    assert out.read_bytes() == b"three"
    assert leftovers(out.parent) == []


def test_a_writer_that_fails_leaves_the_old_one(tmp_path):
    out = tmp_path / "out"
    write_directory(out, fill(1), provenance={})

    def broken(folder):
        fill(2)(folder)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_directory(out, broken, provenance={}, force=True)
    assert verify_directory(out) is not None
    assert json.loads((out / "config.json").read_text()) == {"number": 1}
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("call", ["write", "fsync"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES])
def test_injected_disk_faults(made, tokenizer, tmp_path, monkeypatch, call, number):
    out, file = tmp_path / "out", tmp_path / "x.pt"
    save_checkpoint(make_model(1), tokenizer, out, provenance={"n": 1})
    write_file(file, b"old")

    def fail(*args):
        raise OSError(number, os.strerror(number))

    expected = OutOfResources if number in (errno.ENOSPC, errno.EDQUOT) else InputRefused
    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(expected) as caught:
            save_checkpoint(make_model(2), tokenizer, out, provenance={}, force=True)
        assert caught.value.exit_code == (3 if expected is OutOfResources else 2)
        with pytest.raises(expected):
            write_file(file, b"new", force=True)
    assert load_checkpoint(out).provenance["n"] == 1
    assert file.read_bytes() == b"old"
    assert leftovers(tmp_path) == []


def test_a_file_in_place_of_the_parent_directory(tokenizer, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputRefused):
        save_checkpoint(make_model(), tokenizer, tmp_path / "file" / "out", provenance={})
    with pytest.raises(InputRefused):
        write_file(tmp_path / "file" / "x.json", b"x")


def test_a_disk_that_is_really_full(made, tmp_path):
    """RLIMIT_FSIZE makes the kernel refuse writes in the middle of the weights."""
    rows = full_disk_row(made, tmp_path)
    assert rows.pop("left") == ["out", "x.pt"]
    assert rows.pop("old directory") is True
    assert rows.pop("old bundle") is True
    assert rows == {name: ["OutOfResources", 3] for name in ("directory", "bundle", "file")}


def test_kill_at_any_moment_leaves_a_complete_directory(tmp_path):
    seen = kill_rows(tmp_path, 20)
    assert len(seen) == 20
    write_directory(tmp_path / "out", fill(1), provenance={}, force=True)
    assert leftovers(tmp_path) == []  # what the killed ones left is swept


def test_without_renameat2_a_replacement_still_works(tmp_path, monkeypatch):
    monkeypatch.setattr(files_module, "_renameat2", lambda old, new, flags: False)
    write_directory(tmp_path / "out", fill(1), provenance={"n": 1})
    with pytest.raises(InputRefused, match="already exists"):
        write_directory(tmp_path / "out", fill(2), provenance={})
    write_directory(tmp_path / "out", fill(2), provenance={"n": 2}, force=True)
    manifest = verify_directory(tmp_path / "out")
    assert manifest is not None
    assert manifest.provenance == {"n": 2}
    assert leftovers(tmp_path) == []


def test_provenance_must_be_plain_json(tmp_path):
    for bad in ({"x": float("nan")}, {"x": {1, 2}}):
        with pytest.raises(InputRefused, match="provenance"):
            write_directory(tmp_path / "out", fill(1), provenance=bad)
    assert not (tmp_path / "out").exists()


def test_export_refuses_other_names_and_existing_files(made, tmp_path):
    with pytest.raises(InputRefused, match=r"\.pt"):
        export_bundle(made / "whole", tmp_path / "x.bin")
    (tmp_path / "x.pt").write_bytes(b"precious")
    with pytest.raises(InputRefused, match="already exists"):
        export_bundle(made / "adapter", tmp_path / "x.pt")
    assert (tmp_path / "x.pt").read_bytes() == b"precious"


def test_a_directory_that_may_not_be_written(made, tmp_path):
    """Real permissions: what root may do, another user may not."""
    for place in (tmp_path, *list(tmp_path.parents)[:3]):
        place.chmod(place.stat().st_mode | 0o055)
    rows = read_only_row(made, tmp_path)
    assert rows.pop("left") == ["out", "x.json"]
    assert rows.pop("old directory") is True
    assert rows.pop("old file") is True
    assert rows
    assert all(found == ["InputRefused", 2] for found in rows.values()), rows
