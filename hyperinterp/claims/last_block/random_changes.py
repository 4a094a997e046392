"""Random changes of blocks, each drawn once in a comparison: the nulls of C6."""

from collections.abc import Sequence

from torch import nn

from hyperinterp.models import Component, ComponentKind, HookedModel, perturbation
from hyperinterp.runs.room import HELD, room
from hyperinterp.under_comparison import Study
from probes import CounterNormal, norm_matched_noise

Null = tuple[int, int]
"""A block, and the number of the draw."""


def grouped(every: Sequence[Null], study: Study) -> list[tuple[Null, ...]]:
    """Return the random changes in groups whose blocks are in memory together.

    The passages are read anew for every group, with the blocks of one group put in by turns. One
    group at least, which may be empty.

    Args:
        every: all random changes.
        study: says how much memory there is.
    """
    base = study.base
    largest = max(sum(w.nbytes for w in block.parameters()) for block in base.blocks)
    count = max(1, room(study.models, study.run) // HELD // largest)
    cut = range(0, len(every), count)
    return [tuple(every[start : start + count]) for start in cut] or [()]


def drawn(
    base: HookedModel, fitted: HookedModel, chosen: Sequence[Null], seed: int
) -> dict[Null, dict[str, nn.Module]]:
    """Draw random changes of the base's blocks, of the norm of the true change of each weight.

    Args:
        base: the model whose blocks are copied and changed.
        fitted: the model whose difference sets the size.
        chosen: which.
        seed: of the comparison.
    """

    def one(layer: int, draw: int) -> dict[str, nn.Module]:
        source = CounterNormal((seed * 1009 + draw) * 1_000_003 + layer)
        part = Component(ComponentKind.BLOCK, layer)
        return perturbation(base, fitted, part, lambda change: norm_matched_noise(change, source))

    return {null: one(*null) for null in chosen}
