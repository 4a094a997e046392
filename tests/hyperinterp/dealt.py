"""The geometry of a tiny pair by several played processes: what each found, held and received."""

from collections import Counter
from functools import cache
from typing import Any

from hyperinterp.distributed import ALONE, Processes
from hyperinterp.run_log import RunLog
from hyperinterp.runs.context import RunContext
from hyperinterp.runs.geometry import Geometry
from hyperinterp.runs.passes import Text, add_figures, first_pass
from hyperinterp.sites import component_sites, stream_sites
from hyperinterp.text import TokenRows
from tests.hyperinterp.threads import played
from tests.hyperinterp.training.factory import tiny

ROWS = TokenRows(tuple(tuple(range(n, n + 9)) for n in range(16)), tuple(range(16)), 9, 0)


def pair() -> dict[str, Any]:
    """Two tiny models by role."""
    return {"base": tiny("llama", 0), "fitted": tiny("llama", 1)}


def read(processes: Processes, models: dict[str, Any], *, kept: bool) -> tuple[Geometry, int]:
    """The geometry of a pair, and how many sites' sums the process held after the first pass."""
    layers = models["base"].n_layers
    sites = (*stream_sites(layers), *component_sites(layers))
    run = RunContext(processes=processes, batch_size=2, log=RunLog())
    text = Text(models, ROWS, "passages", run, ("unit_norm",))
    first = first_pass(text, sites, kept=kept, positions=lambda *_: ())
    held, found = len(first.found.sites), Geometry()
    add_figures(found, text, first, {}, {})
    return found, held


@cache
def counted(size: int, kept: bool) -> tuple[list[Any], list[Counter[str]]]:
    """What each of several processes found and held, and the bytes that it received."""
    models = [pair() for _ in range(size)]  # made here: threads would draw each other's numbers
    return played(size, lambda processes: read(processes, models[processes.rank], kept=kept))


@cache
def alone(kept: bool) -> Geometry:
    """What one process finds."""
    return read(ALONE, pair(), kept=kept)[0]
