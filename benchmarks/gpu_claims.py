"""Part f: the twins of `benchmarks.claims`, trained and compared on the card."""

import tempfile
from pathlib import Path
from typing import Any

from benchmarks import claims
from benchmarks.gpu_job import Job
from benchmarks.gpu_pair import FEWEST

PASSAGES, PROMPTS, EPOCHS, SEED = 32, 48, 40, 0


def real_pairs(job: Job) -> None:
    """Train late-stage and in full, then compare both, the full one first: it needs both twins."""
    passages, prompts, epochs = (8, FEWEST.prompts, 1) if job.small else (PASSAGES, PROMPTS, EPOCHS)
    sizes = FEWEST if job.small else claims.sizes_of("quick", prompts)
    where = {"model": job.model, "device": str(job.device)}
    found: dict[str, Any] = {}
    job.tell(passages=passages, prompts=prompts)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for method in claims.METHODS:
            twin = claims.trained(folder, method, SEED, passages, **where, epochs=epochs)
            found[method] = {"seed": SEED, "training": claims.training_facts(twin)}
            job.tell(runs=found)
        for method in reversed(claims.METHODS):
            found[method] |= claims.short(claims.of_twin(folder, method, SEED, sizes, **where))
            job.tell(runs=found)
