"""The trust table: every fault, its promise, and the function that measures it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.trust_table import files, people, runs
from tests.trust_table.files import Figures


@dataclass(frozen=True)
class Row:
    """One promise and how it is measured.

    Attributes:
        fault: what could go wrong.
        promise: what happens instead.
        measure: takes an empty folder and whether to be fast; returns (kept, figures). `kept` is
            None when the row cannot be measured yet; figures then hold the reason.
    """

    fault: str
    promise: str
    measure: Callable[[Path, bool], tuple[bool | None, Figures]]


ROWS = {
    "pickle": Row("pickle code in a `.pt`", "refused, nothing executed", files.pickles),
    "explosion": Row("a file that hangs or explodes", "refused within limits", files.explosions),
    "disguised": Row(
        "pickle code under other names (`pytorch_model.bin`, a shard, `.pth`, a nested dict)",
        "tensors only; refused, nothing executed",
        files.disguised,
    ),
    "disguised explosion": Row(
        "a state dict that hangs or explodes", "refused within limits", files.foreign_explosions
    ),
    "truncation": Row("truncated file", "refused", files.damage("truncate")),
    "flip": Row("flipped bit", "detected in everything we wrote", files.damage("flip")),
    "remote code": Row(
        "code named in a config", "refused unseen by transformers", files.remote_code
    ),
    "adapter": Row("hostile adapter", "refused by a schema before peft", files.adapters),
    "paths": Row("path traversal, links, pipes", "refused, nothing read outside", files.paths),
    "kill": Row("kill -9 in training", "resuming gives bit-identical weights", runs.kills),
    "disk": Row(
        "disk full, read-only directory", "exit 3 or 2, the old file loads", runs.full_disks
    ),
    "nan": Row("NaN or infinity", "stops at once, named, never saved", runs.numbers),
    "seed": Row("two runs, one seed", "same weights, same report", runs.seeds),
    "batch": Row("batch size 1, 7, 32", "figures agree within a tolerance", runs.batches),
    "processes": Row("1, 2, 3 processes", "figures agree within a tolerance", runs.processes),
    "page": Row("model text in the report", "shown as text in real Chromium", people.pages),
    "pair": Row("mismatched pair", "refused, says which field", people.pairs),
    "text": Row("bad prompts and passages", "clear error or a stated rule", people.texts),
    "interrupt": Row("Ctrl-C", "exit 130, says so, nothing half-written", people.interrupts),
    "socket": Row("network", "no socket unless a Hub id was named", people.sockets),
}
