"""The checkpoints that a training run left."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hyperinterp.checkpoints.manifest import MANIFEST_NAME, read_manifest
from hyperinterp.errors import InputRefused


@dataclass(frozen=True)
class Kept:
    """Weights that a run left.

    Attributes:
        path: the checkpoint directory.
        name: its own name, e.g. "loss-3".
        also: other names of the same step.
        facts: what its manifest records.
    """

    path: Path
    name: str
    also: tuple[str, ...]
    facts: Mapping[str, Any]

    @property
    def step(self) -> int:
        """Optimiser steps done."""
        return _whole(self.facts.get("step"))

    @property
    def epoch(self) -> int:
        """Whole epochs done."""
        return _whole(self.facts.get("epoch"))


def kept(run: Path) -> tuple[Kept, ...]:
    """Every checkpoint that a run left, by step; those of one step are one with several names.

    Args:
        run: the directory that `train` made, or its `.run` directory while it is unfinished.

    Raises:
        InputRefused: no checkpoint of a run is there.
        CorruptFile: a manifest was altered.
    """
    folder = run_folder(run)
    named = [*_inside(folder), *_inside(folder / "checkpoints")]
    by_step: dict[int, list[Kept]] = {}
    for item in named:
        facts = read_manifest(item).provenance
        if facts.get("kind") == "hyperfitted":
            one = Kept(item, "final" if item == folder else item.name, (), facts)
            by_step.setdefault(one.step, []).append(one)
    if not by_step:
        raise InputRefused(
            f"{run}: expected the output of `hyperinterp train`, found no checkpoint of a run; "
            "train with --save-at, or name another directory"
        )
    found = []
    for _, same in sorted(by_step.items()):
        first = max(same, key=lambda item: item.name == "final")
        also = tuple(item.name for item in same if item is not first)
        found.append(replace(first, also=also))
    return tuple(found)


def run_folder(run: Path) -> Path:
    """Return where a run's files are: its output, or beside it while it is unfinished.

    Raises:
        InputRefused: nothing is there.
    """
    unfinished = run.with_name(run.name + ".run")
    folder = unfinished if not run.exists() and unfinished.is_dir() else run
    if not folder.is_dir():
        raise InputRefused(
            f"{run}: expected the directory of a training run, found nothing there; name the --out "
            "of `hyperinterp train`"
        )
    return folder


def _inside(folder: Path) -> Iterator[Path]:
    """The folder itself and the directories in it, where they are checkpoints."""
    if folder.is_dir():
        for path in (folder, *sorted(folder.iterdir())):
            if (path / MANIFEST_NAME).is_file():
                yield path


def _whole(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
