"""Where outputs may go: said before any work, whatever the permissions say."""

import errno
import os
from pathlib import Path

import pytest

from hyperinterp.checkpoints import check_place, check_target, export, export_bundle
from hyperinterp.comparison import compare
from hyperinterp.errors import InputRefused, OutOfResources
from hyperinterp.models import HookedModel
from hyperinterp.report.writing import check_report
from hyperinterp.text import Corpus
from hyperinterp.training import TrainConfig, sweep, train
from tests.hyperinterp.training.factory import byte_tokenizer, letters, tiny_hf


@pytest.fixture
def blocked(tmp_path):
    """A path below a file, and one in a directory that takes nothing, even from root."""
    (tmp_path / "file").write_text("mine")
    return {"below a file": tmp_path / "file" / "deep" / "x", "in proc": Path("/proc/x")}


def test_what_can_be_made_passes_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for out in (tmp_path / "a" / "b" / "c", "new", Path("a/b.pt"), tmp_path / ("n" * 150)):
        check_place(out)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["below a file", "in proc"])
def test_what_cannot_be_made_is_refused_in_one_line(blocked, kind):
    for check in (
        lambda out: check_place(out),
        lambda out: check_target(out, force=False, directory=True),
        lambda out: check_report(out, (), force=True),
    ):
        with pytest.raises(InputRefused, match="expected a") as refusal:
            check(blocked[kind])
        assert str(blocked[kind]) in str(refusal.value)
        assert "\n" not in str(refusal.value)


def test_a_name_that_is_too_long_is_refused(tmp_path):
    with pytest.raises(InputRefused, match="File name too long"):
        check_place(tmp_path / ("n" * 250))


def test_a_full_disk_is_said_at_once(tmp_path, monkeypatch):
    def full(*_given, **_named):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "mkdir", full)
    with pytest.raises(OutOfResources, match="disk is full"):
        check_place(tmp_path / "x")


@pytest.mark.parametrize("kind", ["below a file", "in proc"])
def test_training_is_refused_before_the_model_is_read(blocked, kind):
    with pytest.raises(InputRefused, match="expected a"):
        train("./no-such-model", letters(4), blocked[kind])
    with pytest.raises(InputRefused, match="expected a"):
        sweep(
            "./no-such-model", letters(4), blocked[kind], TrainConfig(),
            blocks=["last:1"], seeds=[0], heldout=letters(2),
        )  # fmt: skip


def test_a_bundle_is_refused_before_the_checkpoint_is_read(blocked, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "open_source", lambda source: pytest.fail("was read"))
    (tmp_path / "taken.pt").mkdir()
    for out in (blocked["below a file"].with_suffix(".pt"), tmp_path / "taken.pt"):
        with pytest.raises(InputRefused):
            export_bundle("smollm2", out, force=True)


def test_a_folder_to_resume_from_is_refused_before_the_work(blocked, tmp_path):
    (tmp_path / "corpus.txt").write_text("\n".join(item.text for item in letters(9)))
    model = HookedModel(tiny_hf("llama"), byte_tokenizer(), fingerprint="1" * 64)
    corpus = Corpus(tmp_path / "corpus.txt")
    for resume in (tmp_path / "file", *blocked.values()):
        with pytest.raises(InputRefused, match="expected a"):
            compare(model, model, prompts=letters(9), corpus=corpus, resume_dir=resume)
    assert (tmp_path / "file").read_text() == "mine"
