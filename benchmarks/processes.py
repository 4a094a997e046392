"""Bytes that one of several processes receives in the geometry, and the memory that it takes.

The processes are played by threads of one, which hand each other counted bytes: 4 blocks of width
32, 16 passages of 9 tokens in batches of 2, two ways of taking the rows. The memory is counted
for a pair of 8 billion weights. Writes benchmarks/results/processes.json and the table of
docs/how-to/cluster.md.

Usage: python -m benchmarks.processes
"""

import json
from typing import Any

from benchmarks.pages import DOCS, rewrite_block, table
from benchmarks.record import RESULTS as FOLDER
from benchmarks.record import write
from hyperinterp.runs.waves import Workload, waves
from hyperinterp.sites import component_sites, stream_sites
from tests.hyperinterp.dealt import counted

RESULTS = FOLDER / "processes.json"
PAGE = DOCS / "how-to" / "cluster.md"
SIZES = (2, 4, 8)
PARTS = {"dealt": "handed", "spectra_everywhere": "vectors", "leave_one_out": "intervals"}
BLOCKS, WIDTH, PASSAGES, TOKENS = 32, 4096, 96, 128


def received(size: int, *, kept: bool) -> dict[str, int]:
    """Most bytes that one process received, by what they were for."""
    per_rank = counted(size, kept)[1]
    largest = max(per_rank, key=lambda found: sum(found.values()))
    found = dict.fromkeys([*PARTS.values(), "figures"], 0)
    for name, count in largest.items():
        found[PARTS.get(name, "figures")] += count
    return found


def memory(size: int, *, kept: bool) -> int:
    """Bytes beside the models that one process takes where all sites are measured at once."""
    sites = (*stream_sites(BLOCKS), *component_sites(BLOCKS))
    own = -(-PASSAGES // size)
    tokens = own * TOKENS if kept else None
    return waves(sites, Workload(WIDTH, 4, tokens, own, processes=size), None).peak


def measured() -> dict[str, Any]:
    """Figures by the way in which the activations go to their owner, and by number of processes."""
    return {
        way: {
            str(size): {"received": received(size, kept=kept), "memory": memory(size, kept=kept)}
            for size in SIZES
        }
        | {"1": {"received": {}, "memory": memory(1, kept=kept)}}
        for way, kept in (("rows", True), ("sums", False))
    }


def page(found: dict[str, Any]) -> str:
    """The table of the documentation."""
    head = ["what is kept", "processes", "received, kB", "rows or sums", "vectors", "intervals",
            "figures", "memory at 8B, GB"]  # fmt: skip
    lines = []
    for way, by_size in found.items():
        for size in ("1", *map(str, SIZES)):
            item = by_size[size]
            parts = item["received"]
            cells = [sum(parts.values()), *(parts.get(n, 0) for n in (*PARTS.values(), "figures"))]
            lines.append([
                way, size, *(f"{cell / 1000:.0f}" for cell in cells), f"{item['memory'] / 1e9:.0f}",
            ])  # fmt: skip
    return table(head, lines)


def main() -> None:
    """Count, and write results and table."""
    found = measured()
    out = write("processes", {"bytes": found}, threads=1)
    rewrite_block(PAGE, "processes", page(json.loads(out.read_text(encoding="utf-8"))["bytes"]))
    print(page(found))


if __name__ == "__main__":
    main()
