"""Tables of T1."""

from hyperinterp.drawing.table import Table, pairs
from toy_claim.result import LengthResult


def tables(result: LengthResult) -> tuple[Table, ...]:
    """Return the tables, the main one first."""
    return (pairs("tokens", "Length of greedy text", {"tokens": result.tokens}),)
