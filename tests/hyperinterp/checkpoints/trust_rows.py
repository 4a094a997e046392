"""The rows of the trust table that concern files, as functions that return what they measured.

Tests assert on the rows; `benchmarks/trust.py` may print the same rows.
"""

import json
import os
import random
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hyperinterp.checkpoints import builtin, gguf, opening, resolve, sandbox
from hyperinterp.errors import HyperinterpError
from tests.hyperinterp.checkpoints import disguised, hostile
from tests.hyperinterp.checkpoints.conftest import make_model

_CONTROL = """
import sys, pickle, resource, warnings
warnings.simplefilter("ignore")
import torch
resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
for line in sys.stdin.read().splitlines():
    try:
        torch.load(line, weights_only=False)
    except BaseException:
        pass
"""


def outcome(action: Callable[[], Any]) -> dict[str, Any]:
    """Run an action that must be refused: the error's class, line and seconds.

    `cpu_seconds` counts this process and its children: what a busy machine cannot stretch."""
    start, used = time.perf_counter(), sum(os.times()[:4])
    try:
        action()
    except HyperinterpError as error:
        row = {
            "refused": error.exit_code == 2,
            "error": type(error).__name__,
            "line": str(error),
            "one_line": "\n" not in str(error) and 0 < len(str(error)) < 1000,
        }
    except Exception as error:  # any other error is a failure of the promise
        row = {"refused": False, "error": type(error).__name__, "line": str(error)}
    else:
        row = {"refused": False, "error": None, "line": "accepted"}
    spent = sum(os.times()[:4]) - used
    return {**row, "seconds": time.perf_counter() - start, "cpu_seconds": spent}


def read_through(path: Path) -> None:
    """Everything that happens to a checkpoint before a model is built."""
    with opening.open_source(resolve(path)):
        pass


def pickle_rows(folder: Path) -> list[dict[str, Any]]:
    """Hostile pickles through the front door; each row says whether its gadget ran."""
    rows = []
    for name, path, sentinel in hostile.write_pickles(folder):
        row = outcome(lambda path=path: read_through(path))
        rows.append({"name": name, "executed": sentinel.exists(), **row})
    return rows


def disguised_rows(folder: Path, every: int = 1) -> list[dict[str, Any]]:
    """The same gadgets as others name and place them, through the front door."""
    rows = []
    for name, opened, sentinel in disguised.write_all(folder, every):
        row = outcome(lambda opened=opened: read_through(opened))
        rows.append({"name": name, "executed": sentinel.exists(), **row})
        shutil.rmtree(opened if opened.is_dir() else opened.parent)
    return rows


def disguised_rows_child_only(folder: Path, every: int = 1) -> list[dict[str, Any]]:
    """Past the screen, straight to the child: `weights_only` refuses them too."""
    rows = []
    for name, opened, sentinel in disguised.write_all(folder, every):
        work, path = folder / f"work-{sentinel.name}", disguised.hostile_file(opened)
        work.mkdir()
        row = outcome(lambda path=path, work=work: sandbox.convert_weights([path], ["model"], work))
        rows.append({"name": name, "executed": sentinel.exists(), **row})
    return rows


def disguised_control(folder: Path, every: int = 1) -> list[dict[str, Any]]:
    """Positive control: loaded without care, in a child, they fire."""
    written = list(disguised.write_all(folder, every))
    fire(folder, [disguised.hostile_file(opened) for _, opened, _ in written])
    return [{"name": name, "fired": sentinel.exists()} for name, _, sentinel in written]


def pickle_rows_child_only(folder: Path, every: int = 1) -> list[dict[str, Any]]:
    """The sealed ones straight to the child, past the opcode screen: the second line holds too."""
    rows = []
    sealed = [w for w in hostile.write_pickles(folder) if w[0].endswith("sealed")]
    for name, path, sentinel in sealed[::every]:
        work = folder / f"work-{path.stem}"
        work.mkdir()
        row = outcome(lambda path=path, work=work: sandbox.convert_untrusted(path, work))
        rows.append({"name": name, "executed": sentinel.exists(), **row})
    return rows


def pickle_control(folder: Path) -> list[dict[str, Any]]:
    """Positive control: the same gadgets loaded without care, in a child, do fire."""
    written = hostile.write_pickles(folder)
    fire(folder, [path for _, path, _ in written])
    return [{"name": name, "fired": sentinel.exists()} for name, _, sentinel in written]


def fire(folder: Path, paths: list[Path]) -> None:
    """Load files with `weights_only=False` in a child process."""
    subprocess.run(
        [sys.executable, "-c", _CONTROL],
        input="\n".join(map(str, paths)),
        text=True,
        capture_output=True,
        cwd=folder,
        timeout=120,
        check=False,
    )


def explosion_rows(
    folder: Path, *, child_only: bool = False, foreign: bool = False
) -> list[dict[str, Any]]:
    """Files that hang or explode: seconds, and peak memory in MiB (children, this process)."""
    rows = []
    for name, content in (disguised if foreign else hostile).explosions().items():
        path = folder / (f"{name.replace(' ', '-')}" + (".bin" if foreign else ".pt"))
        path.write_bytes(content)
        if foreign:
            (folder / "config.json").write_text(json.dumps(make_model().config.to_dict()))
        work = folder / f"work-{path.stem}"
        work.mkdir()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

        def action(path: Path = path, work: Path = work) -> None:
            if child_only and foreign:
                sandbox.convert_weights([path], [None], work)
            elif child_only:
                sandbox.convert_untrusted(path, work)
            else:
                read_through(path)

        row = outcome(action)
        own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        rows.append({"name": name, **row, "own_mib": own / 1024, "child_mib": child / 1024})
        shutil.rmtree(work)
        path.unlink()
    return rows


def damage_rows(
    made: Path, folder: Path, how: str, count: int, seed: int = 0
) -> dict[str, dict[str, Any]]:
    """Random truncations or bit flips of each format that we write: how many were refused.

    Args:
        made: A folder with `whole/`, `adapter/`, `whole.pt`, `adapter.pt`.
        folder: Scratch.
        how: `truncate` or `flip`.
        count: Files damaged per format.
        seed: Of the damage.
    """
    generator = random.Random(seed)
    rows: dict[str, dict[str, Any]] = {}
    for name in ("whole", "adapter", "whole.pt", "adapter.pt"):
        copy = folder / name
        _copy(made / name, copy)
        files = sorted(p for p in copy.rglob("*") if p.is_file()) if copy.is_dir() else [copy]
        weights = [p.stat().st_size for p in files]
        refused, accepted = 0, []
        for trial in range(count):
            # half by size, half by file, so that small files are damaged often too
            sizes = weights if trial % 2 else [1] * len(files)
            file = generator.choices(files, sizes)[0]
            original = file.read_bytes()
            file.write_bytes(_damaged(original, how, generator))
            row = outcome(lambda copy=copy: read_through(copy))
            file.write_bytes(original)
            refused += bool(row["refused"])
            if not row["refused"]:
                accepted.append((file.name, row["line"]))
        if name != "whole.pt" or count >= 100:
            read_through(copy)  # intact again: the refusals were due to the damage
        rows[name] = {"tried": count, "refused": refused, "accepted": accepted}
    return rows


def foreign_truncation_rows(
    made: Path, folder: Path, count: int, seed: int = 0
) -> dict[str, dict[str, Any]]:
    """Truncations of files without a digest of ours: safetensors with a config, and GGUF.

    The GGUF row is left out where the package of the built-in model is not installed.
    """
    place = folder / "foreign"
    place.mkdir()
    for name in ("config.json", "model.safetensors"):
        shutil.copyfile(made / "whole" / name, place / name)
    cases: dict[str, tuple[Path, Callable[[], Any]]] = {
        "foreign.safetensors": (place / "model.safetensors", lambda: read_through(place)),
    }
    for packaged in builtin.BUILTINS["smollm2"].paths():
        model = folder / "model.gguf"
        shutil.copyfile(packaged, model)
        cases["gguf"] = (model, lambda model=model: gguf.screen_gguf(model))
    generator, rows = random.Random(seed), {}
    for name, (file, read) in cases.items():
        size, refused, accepted = file.stat().st_size, 0, []
        lengths = sorted((generator.randrange(size) for _ in range(count)), reverse=True)
        for length in lengths:  # shorter and shorter, so that nothing is copied again
            os.truncate(file, length)
            row = outcome(read)
            refused += bool(row["refused"])
            if not row["refused"]:
                accepted.append((length, row["line"]))
        rows[name] = {"tried": count, "refused": refused, "accepted": accepted}
    return rows


def _damaged(content: bytes, how: str, generator: random.Random) -> bytes:
    if how == "truncate":
        return content[: generator.randrange(len(content))]
    changed = bytearray(content)
    changed[generator.randrange(len(changed))] ^= 1 << generator.randrange(8)
    return bytes(changed)


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copyfile(source, target)
