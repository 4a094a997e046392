"""Ticks: block numbers, logarithmic levels, and the column of the final norm."""

from collections.abc import Iterable
from typing import Any

EMBEDDING = -1
NORM = "final<br>norm<br>(post)"


def depth_ticks(last: int, *, embedded: bool = False) -> dict[str, Any]:
    """About seven ticks over blocks 0 to `last`, the last one always; the embedding at -1."""
    step = max(1, round(last / 6))
    shown = [layer for layer in range(0, last + 1, step) if last - layer >= step * 0.6] + [last]
    texts = [str(layer) for layer in shown]
    if embedded:
        if step > 1 or last > 8:
            shown, texts = shown[1:], texts[1:]
        shown, texts = [EMBEDDING, *shown], ["emb", *texts]
    return {"tickmode": "array", "tickvals": shown, "ticktext": texts, "tickangle": 0}


def norm_place(last: int) -> int:
    """Return the final norm's place beside blocks 0 to `last`: apart, also on a narrow page."""
    return last + max(2, round(last / 8))


def log_ticks(values: Iterable[float | None]) -> dict[str, Any]:
    """A logarithmic axis with plain numbers at 1, 2 and 5 of every decade, or only at 1."""
    known = [value for value in values if value is not None and value > 0]
    low, high = min(known, default=0.1), max(known, default=1.0)
    steps = (1, 2, 5) if high / low < 2000 else (1,)
    levels = (step * 10.0**power for power in range(-9, 10) for step in steps)
    shown = [level for level in levels if low * 0.6 <= level <= high * 1.7]
    texts = [f"{level:,.10g}" for level in shown]
    return {"type": "log", "tickmode": "array", "tickvals": shown, "ticktext": texts}
