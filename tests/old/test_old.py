"""Checkpoints as older transformers and peft left them load as today, with the logits of then."""

import tarfile
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

import hyperinterp as hi
from hyperinterp.errors import InputRefused
from tests.hyperinterp.families import VOCAB

HERE = Path(__file__).parent
ARCHIVES = sorted(HERE.glob("*.tar.xz"))
TODAY = {
    ("transformers-4.44", "model gemma2"),  # their fused attention left out the soft cap
    ("transformers-4.49", "model gemma2"),
    ("transformers-4.57", "model gemma2"),
    ("transformers-4.57", "model olmo3"),  # has one rotary base, today sliding layers have another
}
"""Archive and name of models that transformers itself computes otherwise today."""
REFUSED: dict[str, str] = {}
"""Name -> words of the refusal."""


def names_in(archive: Path) -> list[str]:
    """Names of an archive's models and adapters, in order."""
    with tarfile.open(archive) as tar:
        files: list[Any] = [tar.extractfile(m) for m in tar if m.name.endswith("/name.txt")]
        return [file.read().decode() for file in files]


CASES = [
    (archive.name.removesuffix(".tar.xz"), n) for archive in ARCHIVES for n in names_in(archive)
]


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Path]:
    """Every unpacked model and adapter, by archive and name."""
    found = {}
    for archive in ARCHIVES:
        name = archive.name.removesuffix(".tar.xz")
        root = tmp_path_factory.mktemp(name)
        with tarfile.open(archive) as tar:
            tar.extractall(root, filter="data")
        found |= {(name, path.read_text()): path.parent for path in root.glob("*/name.txt")}
    return found


def ids() -> torch.Tensor:
    """The token ids of `make.described`."""
    return torch.randint(3, VOCAB, (2, 12), generator=torch.Generator().manual_seed(5))


def loaded(folders: dict[tuple[str, str], Path], archive: str, name: str) -> hi.HookedModel:
    base = folders[archive, "model llama"] if name.startswith("adapter") else None
    return hi.load(folders[archive, name], base=base, device="cpu")


@pytest.mark.parametrize(("archive", "name"), CASES)
def test_logits_are_those_of_the_older_version(
    folders: dict[tuple[str, str], Path], archive: str, name: str
) -> None:
    if name in REFUSED:
        with pytest.raises(InputRefused, match=REFUSED[name]):
            loaded(folders, archive, name)
        return
    found = loaded(folders, archive, name).logits(ids())
    if (archive, name) in TODAY:
        plain: Any = AutoModelForCausalLM.from_pretrained(folders[archive, name])
        with torch.no_grad():
            wanted = plain(input_ids=ids(), use_cache=False).logits
    else:
        wanted = load_file(folders[archive, name] / "logits.safetensors")["logits"]
    error = (found - wanted).abs().max() / wanted.abs().max()
    assert error < 1e-4


def test_there_are_three_versions_and_the_adapters_of_each() -> None:
    assert len(ARCHIVES) == 3
    for archive in ARCHIVES:
        found = names_in(archive)
        assert sum(name.startswith("adapter") for name in found) >= 12
        assert sum(name.startswith("model") for name in found) >= 25
