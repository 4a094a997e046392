"""Tell a directory's content: a whole model, an adapter, the checkpoints of a run, or neither."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from hyperinterp.checkpoints.places import within
from hyperinterp.checkpoints.tensorfile import index_shards, read_header
from hyperinterp.errors import InputRefused

_WHOLE = ("model.safetensors", "pytorch_model.bin")
_ADAPTER = ("adapter_model.safetensors", "adapter_model.bin")
_STEP = re.compile(r"checkpoint-(\d{1,12})")
_LISTED = 8


def holds_adapter(folder: Path) -> bool:
    """Return whether a directory is an adapter: its config is there, and whole weights are not.

    Where both an adapter's weights and whole ones are there, the adapter counts.
    """
    if not (folder / "adapter_config.json").is_file():
        return False
    whole = (folder / "config.json").is_file() and has_weights(folder, _WHOLE)
    return has_weights(folder, _ADAPTER) or not whole


def has_weights(folder: Path, names: tuple[str, ...] = (*_WHOLE, *_ADAPTER)) -> bool:
    """Return whether one of the weights files, or its index, is there."""
    return any(_there(folder / n) or _there(folder / f"{n}.index.json") for n in names)


def is_checkpoint(folder: Path) -> bool:
    """Return whether a directory has a config of a model or an adapter."""
    return any((folder / name).is_file() for name in ("config.json", "adapter_config.json"))


def notes_of_kind(folder: Path, name: str) -> tuple[str, ...]:
    """Return what to say of a directory that holds both a model's files and an adapter's."""
    if not (folder / "adapter_config.json").is_file() or not has_weights(folder, _WHOLE):
        return ()
    if not (folder / "config.json").is_file():
        return ()
    if holds_adapter(folder):
        return (f"{name}: holds whole weights beside an adapter; the adapter was read.",)
    return (
        f"{name}: holds whole weights beside an adapter's config without the adapter's weights; "
        "it was read as a whole model.",
    )


def chosen(path: Path) -> tuple[Literal["directory", "adapter"], Path, tuple[str, ...]]:
    """Return the kind and place of the checkpoint that a directory stands for, and notes.

    Raises:
        InputRefused: It holds none, or several; says which.
    """
    steps = _steps(path)
    if is_checkpoint(path) and (has_weights(path) or not steps):
        return "adapter" if holds_adapter(path) else "directory", path, ()
    passed: list[str] = []
    for step in steps:
        if fault := _incomplete(step):
            passed.append(f"{step.name} ({fault})")
            continue
        skipped = f"; passed over: {', '.join(passed)}" if passed else ""
        kind = "adapter" if holds_adapter(step) else "directory"
        told = f"{path}: the folder of a run; its newest whole checkpoint {step.name} was read"
        return kind, step, (f"{told}{skipped}.",)
    if passed:
        raise InputRefused(f"{path}: the folder of a run, expected a whole checkpoint in it, found "
                           f"only {', '.join(passed)}; name a folder with a whole one")  # fmt: skip
    raise InputRefused(
        f"{path}: expected config.json or adapter_config.json in it, found none{_hint(path)}"
    )


def _hint(path: Path) -> str:
    inner = [str(found) for found in _candidates(path)]
    if not inner:
        return "; name the folder that save_pretrained wrote"
    if len(inner) == 1:
        return f"; did you mean {inner[0]}?"
    more = f" and {len(inner) - _LISTED} more" if len(inner) > _LISTED else ""
    return f"; name one of the checkpoints in it: {', '.join(inner[:_LISTED])}{more}"


def _candidates(path: Path) -> Iterator[Path]:
    """The checkpoints one or two levels down."""
    for child in sorted(_folders(path)):
        if is_checkpoint(child):
            yield child
        else:
            yield from (inner for inner in sorted(_folders(child)) if is_checkpoint(inner))


def _folders(path: Path) -> list[Path]:
    try:
        return [child for child in path.iterdir() if child.is_dir() and child.name[0] != "."]
    except OSError:
        return []


def _steps(path: Path) -> list[Path]:
    """The `checkpoint-N` folders of a Trainer run, the newest first."""
    found = [(int(m[1]), p) for p in _folders(path) if (m := _STEP.fullmatch(p.name))]
    return [step for _, step in sorted(found, reverse=True)]


def _incomplete(folder: Path) -> str:
    """Return the files that a checkpoint lacks; none where it is whole."""
    if not is_checkpoint(folder):
        return "no config"
    stem = "adapter_model" if holds_adapter(folder) else "model"
    index = folder / f"{stem}.safetensors.index.json"
    try:
        if _there(folder / f"{stem}.safetensors"):
            names = [f"{stem}.safetensors"]
        elif _there(index):
            within(folder, index)
            names = index_shards(index)
        else:
            return "" if has_weights(folder) else "no weights"
        for name in names:
            read_header(within(folder, folder / name))
    except (InputRefused, OSError) as error:
        return str(error).rpartition(f"{folder}/")[2]
    return ""


def _there(path: Path) -> bool:
    return path.exists() or path.is_symlink()
