"""Memory by phase, passes and eigen-decompositions of a comparison, from shapes alone."""

from collections.abc import Sequence

from hyperinterp.analyses.readouts import CHUNK, KEPT_ENTRIES
from hyperinterp.claims.spec import ClaimSpec
from hyperinterp.planning.result import Phase, Plan
from hyperinterp.runs.room import (
    FLOAT,
    HELD,
    contexts_bytes,
    half_bytes,
    reading_bytes,
    readout_bytes,
    writing_bytes,
)
from hyperinterp.runs.shape import Shape
from hyperinterp.runs.waves import WIDE, Workload, waves
from hyperinterp.sites import component_sites, spread_outputs, stream_sites
from hyperinterp.sizes import Sizes

UNKNOWN_PROMPTS = 256
"""Held-out passages that are counted on where a preset takes all there are."""


def planned(
    shapes: Sequence[Shape],
    sizes: Sizes,
    wanted: Sequence[ClaimSpec],
    memory: int,
    batch_size: int = 8,
    *,
    weights: int | None = None,
    tokens: int | None = None,
    prompts: int | None = None,
    corpus: bool = False,
    on_host: bool = True,
) -> Plan:
    """Return what a comparison of some shapes would need, without a rate.

    Args:
        shapes: of base and fitted model, and of whatever else is loaded.
        sizes: how much is looked at.
        wanted: the claims.
        memory: bytes that it may take, weights included.
        batch_size: rows per forward pass.
        weights: bytes of all of them; without it, as if they shared none.
        tokens: of the held-out text; as many as the sizes allow by default.
        prompts: held-out passages; as many as the sizes allow by default.
        corpus: the geometry is measured on a corpus, which is never kept.
        on_host: the models lie in the machine's memory, which holds the decisions, too.
    """
    asked = {name for spec in wanted for name in spec.runs}
    base, count = shapes[0], prompts or sizes.prompts or UNKNOWN_PROMPTS
    tokens = tokens or count * sizes.context_tokens
    weights = weights or sum(shape.weights for shape in shapes)
    halves = len(spread_outputs(base.layers, sizes.dimension_blocks)) * ("half" in asked)
    host = contexts_bytes(shapes[:2], sizes, count) + half_bytes(base.width, halves)
    held, reading = host if on_host else 0, reading_bytes(base, sizes, batch_size)
    sites = stream_sites(base.layers) + (component_sites(base.layers) if sizes.components else ())
    item = sum(shape.itemsize for shape in shapes[:2])
    work = Workload(base.width, item, None if corpus else tokens, count, sizes.variants)
    left = max(0, memory - weights - held - reading)
    geometry = waves(sites if "moments" in asked else (), work, left)
    phases = {
        "reading": reading,
        "readouts": readout_bytes(base, CHUNK),
        "writing": writing_bytes(base, sizes, batch_size, count, on_host=on_host),
    }
    narrow = dict[str, int]()
    if "moments" in asked:
        phases["geometry"] = geometry.peak + reading
        narrow["geometry"] = geometry.least + reading
    if "patches" in asked:
        changed = _changed_bytes(base, sizes, memory - weights)
        narrow["patches"], phases["patches"] = (
            _patch_bytes(base, sizes, batch_size) + item for item in changed
        )
    return Plan(
        weights=weights,
        memory=memory,
        phases=tuple(Phase(name, weights + held + size) for name, size in phases.items()),
        least=weights + held + max((phases | narrow).values()),
        host=host - held,
        groups=len(geometry.groups),
        kept=geometry.kept,
        passes=max(1, geometry.passes),
        tokens=tokens,
        generated=2 * count * sizes.new_tokens,
        decompositions=2 * sum(map(work.spectra, sites)) if "moments" in asked else 0,
        width=base.width,
        seconds={},
    )


def _patch_bytes(shape: Shape, sizes: Sizes, batch_size: int) -> int:
    """Bytes of patching: kept probabilities of both models, streams, and a change in the making."""
    tokens = batch_size * sizes.context_tokens
    streams = 2 * (shape.layers + 1) * tokens * shape.width * shape.itemsize
    pieces = 3 * WIDE * CHUNK * shape.vocabulary
    kept = 2 * WIDE * min(KEPT_ENTRIES, tokens * shape.vocabulary)
    return kept + pieces + streams + 2 * FLOAT * shape.body // shape.layers


def _changed_bytes(shape: Shape, sizes: Sizes, room: int) -> tuple[int, int]:
    """Bytes of the blocks with random changes that are there at once: at least, and at most."""
    block = shape.body // shape.layers * shape.itemsize
    every = min(sizes.null_blocks, shape.layers) * sizes.null_draws
    return min(every, 1) * block, min(every, max(1, room // HELD // block)) * block
