"""The context of a comparison: all that its runs need beside models and text."""

from dataclasses import dataclass, field
from pathlib import Path

from hyperinterp.distributed import ALONE, Processes
from hyperinterp.run_log import RunLog


@dataclass(frozen=True)
class RunContext:
    """Seed, batches, processes, log and resume directory of one comparison.

    Attributes:
        seed: seeds every random choice.
        batch_size: rows per forward pass; up to 24 times as many texts are written at once.
        log: progress, time and notes; `log.forwards` says how often each model ran.
        processes: the processes that share the work; each holds all results.
        resume_dir: directory that a run can go on from: claims that are done, and the sums of a
            corpus on the way.
        memory: bytes that the comparison may take on its device; None for what is free there.
    """

    seed: int = 0
    batch_size: int = 8
    log: RunLog = field(default_factory=RunLog)
    processes: Processes = ALONE
    resume_dir: Path | None = None
    memory: int | None = None
