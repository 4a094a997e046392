"""Names as people type them, compared to the end on the command line's own way."""

import shutil

import pytest
from huggingface_hub import constants

from hyperinterp.checkpoints import hub
from hyperinterp.comparison import compare
from hyperinterp.errors import InputRefused
from hyperinterp.training import TrainConfig, train
from tests.hyperinterp import people
from tests.hyperinterp.test_pairs import SIZES
from tests.hyperinterp.training.factory import letters


@pytest.fixture
def cached(tmp_path, monkeypatch):
    sources = {"me/base": people.base(tmp_path), "me/fitted": people.fitted(tmp_path)}
    cache = people.hub_cache(tmp_path, sources)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    download = hub.snapshot_download
    monkeypatch.setattr(
        hub, "snapshot_download", lambda name, **kw: download(name, cache_dir=cache, **kw)
    )
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return cache


def _compared(*names, **options):
    return compare(*names, prompts=letters(9), claims="C1", sizes=SIZES, device="cpu", **options)


def test_hub_ids_with_revisions_in_every_role(cached, tmp_path):
    report = _compared(
        "me/base", "me/fitted", revision="v1", control="me/fitted@v1", late_stage=("me/fitted@v1",)
    )
    names = [facts.name for facts in report.provenance.checkpoints]
    assert names == ["me/base@v1", "me/fitted", "me/fitted@v1", "me/fitted@v1"]
    told = [note for note in report.provenance.warnings if "me/" in note]
    assert not [note for note in told if "rows without a token" not in note]
    with pytest.raises(InputRefused, match="revision v9"):
        _compared("me/base", "me/fitted", fitted_revision="v9")
    config = TrainConfig(method="full", max_steps=1, batch_size=4, seq_len=16)
    train("me/base", letters(4), tmp_path / "out", config, revision="v1", device="cpu")
    assert _compared("me/base@v1", tmp_path / "out").claims["C1"].verdict


def test_two_adapters_each_on_its_own_base(tmp_path):
    people.base(tmp_path)
    first = people.adapter(tmp_path, "first", target_modules="all-linear")
    second = people.adapter(tmp_path, "second", task_type=None)
    report = _compared(str(first), str(second))
    assert [facts.name for facts in report.provenance.checkpoints] == [str(first), str(second)]


def test_notes_of_what_was_taken_reach_the_report(tmp_path):
    whole, run = people.base(tmp_path), people.trainer_run(tmp_path)
    report = _compared(whole, run)
    assert any("checkpoint-10 was read" in note for note in report.provenance.warnings)
    shutil.rmtree(run / "checkpoint-10")
    report = _compared(whole, run, fitted_subfolder="checkpoint-5")
    assert report.provenance.checkpoints[1].name == str(run / "checkpoint-5")
