"""One input and the folder, environment and base that it is tried in."""

import contextlib
import functools
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import constants
from torch import Tensor

import hyperinterp as hi
from hyperinterp.models.wrapping import as_hooked
from tests.hyperinterp import people

WORDS = "the river carried a letter under seven quiet houses in winter and no one wrote back"
TEXTS = [" ".join(WORDS.split()[(7 * n + k * (n + 1)) % 16] for k in range(12)) for n in range(8)]
IDS = torch.tensor([[256, 5, 6, 12, 40, 33, 5, 6, 7]])


@dataclass
class Case:
    """One input, ready to be tried.

    Attributes:
        base: what stands for BASE.
        fitted: what stands for FITTED; its logits are looked at.
        wanted: what the logits should be; None where only the comparison counts.
        options: further arguments of `hyperinterp.compare`.
        loading: further arguments of `hyperinterp.load`.
        ids: token ids that the logits are of.
    """

    base: Any
    fitted: Any
    wanted: Tensor | None = None
    options: dict[str, Any] = field(default_factory=lambda: {"prompts": TEXTS})
    loading: dict[str, Any] = field(default_factory=dict)
    ids: Tensor = field(default_factory=lambda: IDS)

    def logits(self) -> Tensor:
        """What hyperinterp computes."""
        if isinstance(self.fitted, str | Path):
            return hi.load(self.fitted, device="cpu", **self.loading).logits(self.ids)
        return as_hooked(self.fitted).logits(self.ids)


class Bench(contextlib.ExitStack):
    """A folder with a base model, and an environment that is put back afterwards."""

    def __init__(self, root: Path) -> None:
        super().__init__()
        self.root = root

    @functools.cached_property
    def base(self) -> Path:
        """The base that most rows are compared with."""
        return people.base(self.root)

    def use_cache(self, cache: Path) -> None:
        """Let the Hub be this cache alone, out of reach of the network."""
        before = constants.HF_HUB_CACHE
        self.callback(setattr, constants, "HF_HUB_CACHE", before)
        constants.HF_HUB_CACHE = str(cache)
        self.callback(os.environ.pop, "HF_HUB_OFFLINE", None)
        os.environ["HF_HUB_OFFLINE"] = "1"


def plain(folder: Path, adapter: Path | None = None) -> Tensor:
    """Logits of plain transformers, and of plain peft on top of it."""
    return people.logits(people.plain(folder, adapter))


Make = Callable[[Bench], Case]
"""Makes one input."""
