"""Blocks of a model by their place: `last:5`, `first:5`, `middle:5`, `random:5`, `10-14`, `3+8`."""

import random
import re
from dataclasses import dataclass

from hyperinterp.errors import InputRefused

PLACES = ("last", "first", "middle", "random")
EXAMPLES = "last:5, first:5, middle:5, random:5, 10-14 or 3+8+17"
_COUNTED = re.compile(rf"({'|'.join(PLACES)}):(\d{{1,6}})")
_RANGE = re.compile(r"(\d{1,6})(?:-(\d{1,6}))?")


@dataclass(frozen=True)
class Placement:
    """Blocks by where they lie, before a model is known.

    Attributes:
        text: as it was written, without spaces.
        place: `last`, `first`, `middle` or `random`; "" where the blocks are listed.
        count: how many blocks; 0 where they are listed.
        listed: indices from 0, ascending, where they are listed.
    """

    text: str
    place: str = ""
    count: int = 0
    listed: tuple[int, ...] = ()

    @classmethod
    def read(cls, text: object, name: str = "blocks") -> "Placement":
        """Read a placement.

        Raises:
            InputRefused: it is none; `name` says whose value it is.
        """
        if not isinstance(text, str):
            raise InputRefused(
                f"{name}: expected blocks such as {EXAMPLES}, found {text!r:.60}; write a text"
            )
        plain = text.replace(" ", "").lower()
        counted = _COUNTED.fullmatch(plain)
        if counted is not None and int(counted[2]) > 0:
            return cls(plain, counted[1], int(counted[2]))
        listed: set[int] = set()
        for part in plain.split("+"):
            found = _RANGE.fullmatch(part)
            first, last = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
            if first > last:
                raise InputRefused(
                    f"{name}: expected blocks such as {EXAMPLES}, found {text!r:.60}{_hint(plain)}"
                )
            listed.update(range(first, last + 1))
        return cls(plain, listed=tuple(sorted(listed)))

    @property
    def slug(self) -> str:
        """Its name in the name of a file: `last5`, `blocks10-14`."""
        return self.text.replace(":", "") if self.place else f"blocks{self.text}"

    @property
    def size(self) -> int:
        """The number of blocks that it names."""
        return self.count or len(self.listed)

    @property
    def words(self) -> str:
        """It in words: `the last 5 blocks`, `block 3`, `blocks 10-14`."""
        several = "s" * (self.size != 1)
        if not self.place:
            return f"block{several} {self.text}"
        number = f" {self.count}" if self.count > 1 else ""
        if self.place == "random":
            return f"{self.count} random block{several}"
        return f"the {self.place}{number} block{several}"

    def of(self, n_layers: int, seed: int, name: str = "blocks") -> tuple[int, ...]:
        """Return the indices in a model, ascending.

        `middle` leaves as many blocks before as after, or one more before. `random` is drawn from
        the seed alone; it is never the last blocks themselves where another choice exists.

        Args:
            n_layers: blocks of the model.
            seed: of the run.
            name: whose value it is, for an error.

        Raises:
            InputRefused: the model does not have these blocks.
        """
        if self.listed:
            if self.listed[-1] >= n_layers:
                raise InputRefused(
                    f"{name}: expected blocks from 0 to {n_layers - 1}, the model's, found "
                    f"{self.listed[-1]}; choose some of these"
                )
            return self.listed
        if self.count > n_layers:
            raise InputRefused(
                f"{name}: expected at most the model's {n_layers} blocks, found {self.text}; "
                f"choose {self.place}:{n_layers} or fewer"
            )
        spare = n_layers - self.count
        start = {"first": 0, "last": spare, "middle": (spare + 1) // 2}.get(self.place)
        if start is not None:
            return tuple(range(start, start + self.count))
        last = tuple(range(spare, n_layers))
        draw = random.Random(f"blocks {seed}")
        while True:
            found = tuple(sorted(draw.sample(range(n_layers), self.count)))
            if found != last or not spare:
                return found


def _hint(plain: str) -> str:
    """The likely meaning of what is no placement, as a way out."""
    if plain.isdigit():
        return f"; write last:{plain} for the last {plain}"
    turned = re.fullmatch(r"(\d+)-(\d+)", plain)
    if turned is not None:
        return f"; write {turned[2]}-{turned[1]}"
    place = re.fullmatch(rf"({'|'.join(PLACES)})(:?-?0*|[^:]*)", plain)
    return f"; write {place[1]}:5" if place is not None else "; write one of these"


def listed(blocks: tuple[int, ...]) -> str:
    """Return indices as a placement that names them: `10-14`, `3+8+17`.

    >>> listed((0, 1, 2, 5))
    '0-2+5'
    """
    parts: list[list[int]] = []
    for index in blocks:
        if parts and parts[-1][-1] == index - 1:
            parts[-1].append(index)
        else:
            parts.append([index])
    return "+".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in parts)
