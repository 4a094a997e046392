"""A directory belongs to one kind of command, from the first file that such a command makes."""

from pathlib import Path

import pytest

from hyperinterp.checkpoints import check_folder
from hyperinterp.checkpoints.files import partial_name
from hyperinterp.errors import InputRefused

OWN = ("table.json", ".table.lock")


def _check(out: Path) -> None:
    check_folder(out, "sweep", OWN)


def test_one_that_is_not_there_or_is_empty_may_be_taken(tmp_path: Path) -> None:
    _check(tmp_path / "new")
    _check(tmp_path)
    assert not list(tmp_path.iterdir())


def test_one_that_another_command_begins_in_may_be_taken_at_every_moment(tmp_path: Path) -> None:
    probe = partial_name(tmp_path / OWN[0])
    probe.mkdir()  # it looks whether files can be made here
    _check(tmp_path)
    probe.rmdir()
    (tmp_path / OWN[1]).touch()  # it holds the table
    _check(tmp_path)
    partial_name(tmp_path / OWN[0]).touch()  # it writes it
    _check(tmp_path)
    (tmp_path / OWN[1]).unlink()
    (tmp_path / OWN[0]).touch()
    (tmp_path / "cell").mkdir()
    _check(tmp_path)


def test_one_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    partial_name(tmp_path / OWN[0]).touch()
    with pytest.raises(InputRefused, match="expected a sweep or an empty directory, found other"):
        _check(tmp_path)


def test_a_file_or_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path)
    for name in ("file", "link"):
        with pytest.raises(InputRefused, match="expected a directory for a sweep"):
            _check(tmp_path / name)
