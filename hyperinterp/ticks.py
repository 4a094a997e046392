"""Progress, as one callback."""

from collections.abc import Callable

Tick = Callable[[int], None]
"""Told of so many more units (rows, contexts or texts) that are done."""
