"""The loop in which a sequence of token ids ends."""

from dataclasses import dataclass

from probes._foreign import Ids, id_list


@dataclass(frozen=True)
class Loop:
    """The turns of one period with which a sequence ends.

    Attributes:
        start: Position of the first id of the first turn.
        period: Ids in one turn.
        turns: Turns up to the end of the sequence; the last one may be a part.
    """

    start: int
    period: int
    turns: float


def final_loop(ids: Ids, turns: float | int = 3, longest: int = 48, least: int = 12) -> Loop | None:
    """Return the loop in which a sequence ends, or None.

    A sequence ends in a loop of period p when, from some position on, every id equals the one p
    before it. The loop starts where the first turn does, p before the first id that repeats. Of
    several periods the shortest counts: p, not 2p.

    Args:
        ids: One sequence.
        turns: Turns that the loop must have, above 1.
        longest: Longest period looked for, 1 or more.
        least: Ids that the loop must have in all, so that one word said three times is no loop.

    Raises:
        ValueError: for an argument out of range, or ids that are not one sequence.

    >>> final_loop([9, 8, 1, 2, 1, 2, 1, 2, 1], least=6)
    Loop(start=2, period=2, turns=3.5)
    >>> final_loop([1, 2, 3, 4, 5, 6], least=6) is None
    True
    """
    if not turns > 1 or longest < 1 or least < 1:
        raise ValueError(
            "expected turns above 1, longest of 1 or more and least of 1 or more, found "
            f"{turns}, {longest} and {least}"
        )
    tokens = id_list(ids)
    for period in range(1, min(longest, len(tokens)) + 1):
        start = len(tokens)
        while start > period and tokens[start - 1] == tokens[start - 1 - period]:
            start -= 1
        start -= period
        size = len(tokens) - start
        if size >= max(turns * period, least):
            return Loop(start, period, size / period)
    return None
