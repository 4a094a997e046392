"""The cells of a study: one training run each, and the comparison of what it makes."""

from dataclasses import dataclass
from pathlib import Path

from hyperinterp.blocks import Placement
from hyperinterp.claims.roles import Twin
from hyperinterp.errors import InputRefused
from hyperinterp.studies.config import StudyConfig


@dataclass(frozen=True)
class Cell:
    """One run of one recipe.

    Attributes:
        method: `lora` or `full`.
        blocks: the placement; None for all blocks.
        seed: of the run.
        shuffled: trained on the passages with their words shuffled.
    """

    method: str
    blocks: str | None
    seed: int
    shuffled: bool = False

    @property
    def recipe(self) -> str:
        """The name that it shares with its other seeds: `lora-last5`."""
        place = "all" if self.blocks is None else Placement.read(self.blocks).slug
        return f"{self.method}-{place}{'-shuffled' * self.shuffled}"

    @property
    def name(self) -> str:
        """Its directory: `lora-last5-seed0`."""
        return f"{self.recipe}-seed{self.seed}"

    @property
    def words(self) -> str:
        """Its recipe in words."""
        where = "all blocks" if self.blocks is None else Placement.read(self.blocks).words
        return f"{self.method}, {where}{', words shuffled' * self.shuffled}"

    @property
    def last(self) -> bool:
        """It trains the last blocks, on the passages as they are."""
        return not self.shuffled and (self.blocks or "").startswith("last:")


def planned(config: StudyConfig) -> tuple[Cell, ...]:
    """Return every cell, the seeds outermost, so that what is compared is trained together."""
    found: list[Cell] = []
    for seed in config.seeds:
        found += [
            Cell(method, blocks, seed) for method in config.methods for blocks in config.blocks
        ]
        found += [Cell(method, None, seed) for method in config.whole]
        if config.shuffled:
            blocks = config.blocks[0] if config.methods and config.blocks else None
            method = config.methods[0] if blocks is not None else config.whole[0]
            found.append(Cell(method, blocks, seed, shuffled=True))
    return tuple(found)


def companions(cell: Cell, cells: tuple[Cell, ...]) -> dict[Twin, tuple[Cell, ...]]:
    """Return the cells that stand beside one in its comparison.

    Args:
        cell: the one that is compared.
        cells: every cell of the study.

    Returns:
        `LAST`: for a run of all blocks, those of the last blocks, its own method first;
        `ELSEWHERE`: for a run of the last blocks, those of as many other blocks by its method.
    """
    beside = [it for it in cells if it.seed == cell.seed and not it.shuffled and it != cell]
    if cell.shuffled:
        return {}
    if cell.blocks is None:
        late = [it for it in beside if it.last]
        return {Twin.LAST: tuple(sorted(late, key=lambda it: it.method != cell.method))}
    if not cell.last:
        return {}
    size = Placement.read(cell.blocks).size
    return {
        Twin.ELSEWHERE: tuple(
            it
            for it in beside
            if it.method == cell.method
            and it.blocks is not None
            and not it.last
            and Placement.read(it.blocks).size == size
        )
    }


@dataclass(frozen=True)
class Share:
    """One of several commands that divide the cells: the `number`th of `of`, from 1."""

    number: int
    of: int

    @classmethod
    def read(cls, text: str) -> "Share":
        """Read `i/n`.

        Raises:
            InputRefused: it is none.
        """
        first, bar, second = text.partition("/")
        whole = first.strip().isdecimal() and second.strip().isdecimal() and bool(bar)
        if not whole or not 1 <= int(first) <= int(second):
            raise InputRefused(
                f"--cell: expected i/n with i from 1 to n, found {text!r:.40}; write 1/8"
            )
        return cls(int(first), int(second))

    def takes(self, index: int) -> bool:
        """Return True for the cells, numbered from 0, that are this share's."""
        return index % self.of == self.number - 1


@dataclass(frozen=True)
class Places:
    """The places of a study's files.

    Attributes:
        out: its directory.
    """

    out: Path

    @property
    def config(self) -> Path:
        """The study as it was asked for, every field filled in."""
        return self.out / "study.yaml"

    def folder(self, cell: Cell) -> Path:
        """Everything of one cell."""
        return self.out / "cells" / cell.name

    def twin(self, cell: Cell) -> Path:
        """The trained checkpoint."""
        return self.folder(cell) / "twin"

    def report(self, cell: Cell) -> Path:
        """The report of its comparison."""
        return self.folder(cell) / "report"

    def failure(self, cell: Cell) -> Path:
        """The reason of its failure, where it failed."""
        return self.folder(cell) / "failed.json"
