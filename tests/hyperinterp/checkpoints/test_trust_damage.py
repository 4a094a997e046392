"""Truncated and flipped files of every format that we write, and of those that we only read."""

import json
import random
import shutil

import pytest

from hyperinterp.checkpoints import load_checkpoint, manifest, verify_directory
from hyperinterp.errors import CorruptFile, InputRefused
from tests.hyperinterp.checkpoints import hostile, trust_rows


@pytest.mark.parametrize("how", ["truncate", "flip"])
def test_damage_is_detected_sample(made, tmp_path, how):
    rows = trust_rows.damage_rows(made, tmp_path, how, count=40, seed=random.randrange(1 << 30))
    assert all(r["refused"] == r["tried"] == 40 for r in rows.values()), rows


@pytest.mark.full
@pytest.mark.parametrize("how", ["truncate", "flip"])
def test_damage_is_detected_500_each(made, tmp_path, how):
    rows = trust_rows.damage_rows(made, tmp_path, how, count=500, seed=1)
    assert all(r["refused"] == r["tried"] == 500 for r in rows.values()), rows


def test_every_single_flip_of_a_manifest_is_detected(made, tmp_path):
    copy = tmp_path / "adapter"
    shutil.copytree(made / "adapter", copy)
    path = copy / manifest.MANIFEST_NAME
    original = path.read_bytes()
    for place in range(0, len(original)):
        changed = bytearray(original)
        changed[place] ^= 1 << (place % 8)
        path.write_bytes(changed)
        with pytest.raises(InputRefused):
            manifest.read_manifest(copy)


def test_truncated_foreign_safetensors_is_refused(made, tmp_path):
    for name in ("config.json", "model.safetensors"):
        shutil.copy(made / "whole" / name, tmp_path / name)
    weights = tmp_path / "model.safetensors"
    original = weights.read_bytes()
    for trial in range(60):
        weights.write_bytes(original[: random.Random(trial).randrange(len(original))])
        row = trust_rows.outcome(lambda: trust_rows.read_through(tmp_path))
        assert row["refused"], row


@pytest.mark.parametrize("name", sorted(hostile.hostile_safetensors()))
def test_safetensors_headers_that_lie(made, tmp_path, name):
    shutil.copy(made / "whole" / "config.json", tmp_path / "config.json")
    (tmp_path / "model.safetensors").write_bytes(hostile.hostile_safetensors()[name])
    row = trust_rows.outcome(lambda: trust_rows.read_through(tmp_path))
    assert row["refused"], row
    assert row["cpu_seconds"] < 5


def test_missing_and_extra_files(made, tmp_path):
    copy = tmp_path / "whole"
    shutil.copytree(made / "whole", copy)
    assert verify_directory(copy) is not None
    (copy / "notes.md").write_text("a file that no loader reads")
    assert verify_directory(copy) is not None
    (copy / "model-00002.safetensors").write_bytes(b"")
    with pytest.raises(CorruptFile, match="not in the manifest"):
        verify_directory(copy)
    (copy / "model-00002.safetensors").unlink()
    (copy / "tokenizer.json").unlink()
    with pytest.raises(CorruptFile, match="missing"):
        verify_directory(copy)


def test_a_directory_without_manifest_is_foreign(made, tmp_path):
    copy = tmp_path / "whole"
    shutil.copytree(made / "whole", copy)
    (copy / manifest.MANIFEST_NAME).unlink()
    assert verify_directory(copy) is None
    assert load_checkpoint(copy).provenance == {}


def test_a_manifest_cannot_point_outside(made, tmp_path):
    copy = tmp_path / "whole"
    shutil.copytree(made / "whole", copy)
    secret = tmp_path / "secret"
    secret.write_text("x")
    entry = manifest.FileEntry(1, manifest.file_sha256(secret))
    path = copy / manifest.MANIFEST_NAME
    path.write_bytes(manifest._serialise({"../secret": entry}, {}))
    with pytest.raises(CorruptFile, match="not below"):
        verify_directory(copy)
    path.write_text(json.dumps({"format": "other"}))
    with pytest.raises(CorruptFile):
        verify_directory(copy)


def test_control_without_digests_a_flipped_weight_loads(made, tmp_path, monkeypatch):
    copy = tmp_path / "whole"
    shutil.copytree(made / "whole", copy)
    weights = copy / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-4] ^= 1
    weights.write_bytes(content)
    with pytest.raises(CorruptFile, match="sha256"):
        load_checkpoint(copy)
    monkeypatch.setattr(manifest, "_check_file", lambda root, name, entry, *, partial: None)
    load_checkpoint(copy)
