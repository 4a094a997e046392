"""Carry what `benchmarks.gpu` needs to a machine that has no package index.

Packs, into one folder: the pure-Python packages that the parts import and that machine lacks, in
the versions installed here, and the built-in model's file in parts. `--have` names a file with one
package per line (as `pip list` or `pip freeze` print them) of what that machine has.

Usage: python -m benchmarks.gpu_pack DIR --have FILE [--python 3.12] [--part-mib 40]
There:  python -m benchmarks.gpu --packed DIR
"""

import argparse
import hashlib
import json
import re
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

MODEL, PACKAGES = "model.json", "packages"

USED = """
import importlib.metadata, json, sys
from transformers import LlamaConfig, LlamaForCausalLM
import benchmarks.gpu_claims, benchmarks.gpu_decode, benchmarks.gpu_eight
import benchmarks.gpu_pair, benchmarks.gpu_ratios
import hyperinterp.comparison
from hyperinterp.claims.registry import CLAIMS
from hyperinterp.models import HookedModel
for spec in CLAIMS:
    spec.part("measurement", "measure")
HookedModel(LlamaForCausalLM(LlamaConfig(
    hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1, vocab_size=8)))
files = {str(d.locate_file(f)): (d.metadata["Name"], d.version)
         for d in importlib.metadata.distributions() for f in d.files or ()}
loaded = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
print(json.dumps(sorted({files[file] for file in loaded if file in files})))
"""
"""Prints the name and version of every package that the parts import."""


def normal(name: str) -> str:
    """A package's name in the one spelling that indexes use."""
    return re.sub(r"[-_.]+", "-", name).lower()


def listed(text: str) -> set[str]:
    """The packages that a listing names, one per line, whatever follows the name."""
    found = (re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", line.strip()) for line in text.splitlines())
    return {normal(match[0]) for match in found if match}


def used() -> dict[str, str]:
    """Packages that the parts import, with the versions that are installed here."""
    done = subprocess.run(
        [sys.executable, "-c", USED], capture_output=True, text=True, check=True,
        cwd=Path(__file__).parent.parent,
    )  # fmt: skip
    return {normal(name): version for name, version in json.loads(done.stdout.splitlines()[-1])}


def carry_packages(wanted: dict[str, str], folder: Path, python: str) -> list[str]:
    """Pack these versions; returns what has no pure-Python wheel for that Python.

    What is installed here from a wheel for any Python 3 is taken as it lies here.
    """
    folder.mkdir(parents=True, exist_ok=True)
    impure = []
    for name, version in wanted.items():
        found = distribution(name)
        if "Tag: py3-none-any" in (found.read_text("WHEEL") or "").splitlines():
            with zipfile.ZipFile(
                folder / f"{name}-{version}.zip", "w", zipfile.ZIP_DEFLATED
            ) as out:
                for file in found.files or ():
                    if ".." not in file.parts and file.suffix != ".pyc":
                        out.write(str(found.locate_file(file)), str(file))
        elif not _fetched(f"{name}=={version}", folder, python):
            impure.append(f"{name}=={version}")
    return impure


def _fetched(package: str, folder: Path, python: str) -> bool:
    """Whether there is a pure-Python wheel of just this version for that Python."""
    done = subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:",
         "--platform", "any", "--implementation", "py", "--python-version", python,
         "--dest", str(folder), package],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode == 0


def carry_model(file: Path, folder: Path, most: int) -> list[Path]:
    """Cut a file into parts of at most so many bytes, each in a folder of its own."""
    content = file.read_bytes()
    parts = []
    for start in range(0, len(content), most):
        part = folder / f"part-{len(parts) + 1}" / "bytes"
        part.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(content[start : start + most])
        parts.append(part)
    told = {
        "name": file.name,
        "package": file.parent.name,
        "sha256": hashlib.sha256(content).hexdigest(),
        "parts": [str(part.relative_to(folder)) for part in parts],
    }
    (folder / MODEL).write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    return parts


def unpack(packed: Path) -> list[Path]:
    """Join the model and unpack the packages; returns the folders for the module path.

    Raises:
        FileNotFoundError: a part is missing.
        ValueError: the joined file is not the one that was cut.
    """
    into = packed.resolve() / "unpacked"
    shutil.rmtree(into, ignore_errors=True)
    site, models = into / "site", into / "models"
    for packed_one in sorted((packed / PACKAGES).iterdir()):  # a wheel is a zip file, too
        with zipfile.ZipFile(packed_one) as archive:
            archive.extractall(site)
    if (packed / MODEL).is_file():
        told: dict[str, Any] = json.loads((packed / MODEL).read_text(encoding="utf-8"))
        content = b"".join((packed / part).read_bytes() for part in told["parts"])
        if hashlib.sha256(content).hexdigest() != told["sha256"]:
            raise ValueError(f"{packed}: the parts of {told['name']} do not join to its sha256")
        target = models / told["package"] / told["name"]
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    return [site, models]


def main() -> None:
    """Pack, and say what is left to do."""
    from hyperinterp.checkpoints.builtin import BUILTINS

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--have", type=Path, required=True, help="packages there, one per line")
    parser.add_argument("--python", default="3.12", help="Python's version there")
    parser.add_argument("--part-mib", type=int, default=40, help="most MiB of a part of the model")
    given = parser.parse_args()
    there = listed(given.have.read_text(encoding="utf-8"))
    wanted = {name: version for name, version in used().items() if name not in there}
    for impure in carry_packages(wanted, given.folder / PACKAGES, given.python):
        print(f"no pure-Python wheel, left out: {impure}")
    model = BUILTINS["smollm2"]
    if not (files := model.paths()):
        parser.error(str(model.refuse_missing()))
    carry_model(files[0], given.folder, given.part_mib << 20)
    for file in sorted(path for path in given.folder.rglob("*") if path.is_file()):
        print(f"{file.stat().st_size / 2**20:7.1f} MiB  {file.relative_to(given.folder)}")


if __name__ == "__main__":
    main()
