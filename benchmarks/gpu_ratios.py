"""Part d: the ratios of benchmarks.scale and benchmarks.training, measured on the device."""

from typing import Any

from benchmarks import scale, training
from benchmarks.gpu_job import Job
from hyperinterp.models import HookedModel, load


def ratios(job: Job) -> None:
    """Moments of every block, exchanges of blocks by replay, and late-stage training."""

    def model() -> HookedModel:
        return load(job.model, device=str(job.device))

    rounds = 1 if job.small else 5
    job.tell(capture=_without_rounds(scale.capture(rounds, model())))
    job.tell(patching=_without_rounds(scale.patching(rounds, model())))
    job.tell(training=_without_rounds(training.speed(rounds, 2 if job.small else 6, model)))


def _without_rounds(found: dict[str, Any]) -> dict[str, Any]:
    """Figures with seconds to five digits, which is what a clock gives."""
    return {
        key: {name: [float(f"{s:.5g}") for s in times] for name, times in value.items()}
        if key in ("seconds", "seconds_per_step", "processor_seconds_per_step")
        else value
        for key, value in found.items()
    }
