"""Moments of both models over every other passage: what new directions are estimated on."""

from hyperinterp.capture import Half, run_pair
from hyperinterp.models import HookedModel
from hyperinterp.runs.context import RunContext
from hyperinterp.sites import Site, spread_outputs
from hyperinterp.text import TokenRows
from probes import Moments


def half_of(rows: int, layers: int, others: int | None) -> Half:
    """Return every other passage, and the blocks at whose outputs directions are estimated.

    Args:
        rows: number of passages.
        layers: number of blocks.
        others: blocks beside the last one; None for all.
    """
    return Half(range(0, rows, 2), spread_outputs(layers, others))


def half_moments(
    base: HookedModel, fitted: HookedModel, rows: TokenRows, others: int | None, run: RunContext
) -> dict[Site, dict[str, Moments]]:
    """Return the moments of these passages by site and role. Cost: each model once over them.

    Args:
        base: the model before.
        fitted: the model after.
        rows: all passages.
        others: blocks beside the last one; None for all.
        run: batches, processes and log.
    """
    half = half_of(len(rows), base.n_layers, others)
    chosen = rows.chosen(half.numbers)
    found = run_pair(
        base,
        fitted,
        chosen,
        sites=half.sites,
        positions=lambda _number, _length: (),
        batch_size=run.batch_size,
        tick=run.log.ticker("both models read for the new directions", len(chosen)),
        processes=run.processes,
    )
    for role in ("base", "fitted"):
        run.log.forwards[f"{role} over every other passage"] += 1
    return {site: sums.moments for site, sums in found.sites.items()}
