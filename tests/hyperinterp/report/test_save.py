import errno
import importlib.util
import json
from pathlib import Path

import jsonschema
import pytest

from hyperinterp.checkpoints import files
from hyperinterp.errors import InputRefused, OutOfResources
from hyperinterp.report import export, writing
from hyperinterp.report.schema import Report, json_schema


def test_report_validates_and_round_trips(complete: Report, sparse: Report) -> None:
    validator = jsonschema.Draft202012Validator(json_schema())
    for report in (complete, sparse):
        text = report.to_json()
        validator.validate(json.loads(text))
        assert Report.from_json(text) == report


def test_save_writes_everything(complete: Report, tmp_path: Path) -> None:
    written = complete.save(tmp_path / "new" / "out")
    assert {"report.json", "report.html", "report.md", "claims.tex"} <= set(written)
    assert written["tables/claims.csv"].read_text(encoding="utf-8").startswith("claim,")
    assert all(path.is_file() and path.stat().st_size > 0 for path in written.values())
    assert Report.read(tmp_path / "new" / "out") == complete
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["out"]


def test_existing_output_is_refused_and_force_replaces_it(sparse: Report, tmp_path: Path) -> None:
    out = tmp_path / "out"
    sparse.save(out)
    (out / "report.md").write_text("mine", encoding="utf-8")
    with pytest.raises(InputRefused, match="already exists"):
        sparse.save(out)
    assert (out / "report.md").read_text(encoding="utf-8") == "mine"
    sparse.save(out, force=True)
    assert (out / "report.md").read_text(encoding="utf-8") != "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_force_never_deletes_other_files(sparse: Report, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years", encoding="utf-8")
    with pytest.raises(InputRefused, match="holds more than a report"):
        sparse.save(tmp_path, force=True)
    assert (tmp_path / "thesis.tex").read_text(encoding="utf-8") == "years"
    file = tmp_path / "thesis.tex"
    with pytest.raises(InputRefused, match="expected a directory"):
        sparse.save(file, force=True)


def test_full_disk_leaves_nothing_and_keeps_the_old_report(
    sparse: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    sparse.save(out)
    before = (out / "report.json").read_bytes()
    real, calls = writing.write_bytes, []

    def full(path: Path, content: bytes) -> None:
        calls.append(path)
        if len(calls) > 3:
            raise OSError(errno.ENOSPC, "no space left")
        real(path, content)

    monkeypatch.setattr(writing, "write_bytes", full)
    with pytest.raises(OutOfResources, match="disk is full"):
        sparse.save(out, force=True)
    assert (out / "report.json").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_failed_exchange_brings_the_old_report_back(
    sparse: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    sparse.save(out)
    monkeypatch.setattr(files, "_renameat2", lambda *_: False)  # a system that cannot exchange
    real = Path.rename

    def broken(self: Path, target: Path) -> Path:
        if self.name.endswith(".partial"):
            raise OSError(errno.EACCES, "denied")
        return real(self, target)

    monkeypatch.setattr(Path, "rename", broken)
    with pytest.raises(InputRefused, match="cannot be written"):
        sparse.save(out, force=True)
    assert (out / "report.json").is_file()


def test_same_report_same_bytes(sparse: Report) -> None:
    assert writing.contents(sparse) == writing.contents(sparse)


def test_static_figures_need_their_extra(
    sparse: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputRefused, match="expected formats among"):
        sparse.save(tmp_path / "a", figures=("gif",))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputRefused, match=r"hyperinterp\[figures\]"):
        sparse.save(tmp_path / "a", figures=("png",))
    assert not (tmp_path / "a").exists()


def test_static_figures_are_named_after_their_block(sparse: Report) -> None:
    names = [name for name, _ in export.named_figures(sparse)]
    assert names[0] == "reranking-buckets"
    assert len(names) == len(set(names)) == 5
