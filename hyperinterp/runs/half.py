"""Moments of both models over every other passage: what new directions are estimated on."""

from hyperinterp.capture import Half, run_pair
from hyperinterp.runs.geometry import ROLES
from hyperinterp.runs.passes import Text
from hyperinterp.runs.room import in_groups
from hyperinterp.sites import Site, spread_outputs
from hyperinterp.sizes import Sizes
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


def half_moments(text: Text, sizes: Sizes) -> dict[Site, dict[str, Moments]]:
    """Return the moments of every other passage by site and role.

    Cost: each model once over them, for every group of sites whose sums fit into memory.

    Args:
        text: all passages, those that are read among them, and who reads them.
        sizes: how much is looked at.
    """
    assert text.half is not None
    assert isinstance(text.rows, TokenRows)
    found: dict[Site, dict[str, Moments]] = {}
    run, rows = text.run, text.rows.chosen(text.half.numbers)
    for group in in_groups(text.half.sites, text, sizes):
        sums = run_pair(
            text.models["base"],
            text.models["fitted"],
            rows,
            sites=group,
            positions=lambda _number, _length: (),
            batch_size=run.batch_size,
            tick=run.log.ticker("both models read for the new directions", len(rows)),
            processes=run.processes,
        )
        for role in ROLES:
            run.log.forwards[f"{role} over every other passage"] += 1
        every = run.processes.collected({
            site: {role: _on_cpu(item.moments[role]) for role in ROLES}
            for site, item in sums.sites.items()
        })  # fmt: skip
        found |= {site: every[site] for site in group}
    return found


def _on_cpu(moments: Moments) -> Moments:
    """The same moments in the machine's memory, which holds them for the rest of the run."""
    return Moments.from_state({name: item.cpu() for name, item in moments.state().items()})
