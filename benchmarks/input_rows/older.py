"""Models and adapters as older transformers and peft left them."""

import functools
import tarfile
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

import hyperinterp as hi
from benchmarks.input_rows.bench import Bench, Case, Make
from tests.hyperinterp.families import VOCAB

OLD = Path(__file__).parents[2] / "tests" / "old"


@functools.cache
def _members(archive: Path) -> dict[str, str]:
    """Name -> folder, of everything that an archive holds."""
    found = {}
    with tarfile.open(archive) as tar:
        for member in tar:
            if member.name.endswith("/name.txt"):
                stream: Any = tar.extractfile(member)
                found[stream.read().decode()] = member.name.partition("/")[0]
    return found


def older(archive: Path, name: str) -> Make:
    """A model or adapter as an older version wrote it, compared with itself after a nudge."""

    def make(bench: Bench) -> Case:
        with tarfile.open(archive) as tar:
            tar.extractall(bench.root, filter="data")
        folder = bench.root / _members(archive)[name]
        wanted = load_file(folder / "logits.safetensors")["logits"]
        ids = torch.randint(3, VOCAB, (2, 12), generator=torch.Generator().manual_seed(5))
        words = [
            " ".join(f"w{3 + (5 * n + k * (n + 2)) % 60}" for k in range(16)) for n in range(8)
        ]
        options = {"prompts": words}
        if name.startswith("adapter"):
            base = bench.root / _members(archive)["model llama"]
            return Case(base, folder, wanted, options=options, loading={"base": base}, ids=ids)
        moved = hi.load(folder, device="cpu")
        with torch.no_grad():
            for parameter in moved.blocks.parameters():
                parameter.mul_(1.02)
        return Case(moved, folder, wanted, options=options, ids=ids)

    return make


OLDER: dict[str, dict[str, Make]] = {
    archive.name.removesuffix(".tar.xz"): {name: older(archive, name) for name in _members(archive)}
    for archive in sorted(OLD.glob("*.tar.xz"))
}
