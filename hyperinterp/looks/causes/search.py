"""The smallest set of items that suffices: greedily, and by trying all."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations


@dataclass(frozen=True)
class Found:
    """A set that suffices, or all items where none does.

    Attributes:
        items: in the order in which they were added.
        shares: what the first, the first two, ... of them reach.
        tried: number of sets that were measured.
    """

    items: tuple[int, ...]
    shares: tuple[float, ...]
    tried: int


def greedy(share: Callable[[tuple[int, ...]], float], items: Sequence[int], enough: float) -> Found:
    """Add the item that raises the share most until it is enough.

    Args:
        share: of a set, its items in rising order.
        items: to choose from.
        enough: the share at which the search ends.
    """
    chosen: list[int] = []
    reached: list[float] = []
    tried = 0
    while len(chosen) < len(items) and (not reached or reached[-1] < enough):
        rest = [item for item in items if item not in chosen]
        found = {item: share(tuple(sorted((*chosen, item)))) for item in rest}
        tried += len(found)
        chosen.append(max(rest, key=lambda item: found[item]))
        reached.append(found[chosen[-1]])
    return Found(tuple(chosen), tuple(reached), tried)


def exhaustive(
    share: Callable[[tuple[int, ...]], float], items: Sequence[int], enough: float
) -> tuple[int, ...] | None:
    """Return the smallest set that is enough, of several the best; None where no set is.

    Args:
        share: of a set, its items in rising order.
        items: to choose from; their number is the exponent of the cost.
        enough: the least share.
    """
    for size in range(1, len(items) + 1):
        found = {each: share(each) for each in combinations(sorted(items), size)}
        best = max(found, key=lambda each: found[each])
        if found[best] >= enough:
            return best
    return None
