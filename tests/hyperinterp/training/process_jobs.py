"""Training by several real processes; run under a launcher with a list of jobs as JSON."""

import json
import os
import signal
import sys

from hyperinterp.distributed import join, leave
from hyperinterp.training import Progress, TrainConfig, train
from tests.hyperinterp.training.factory import letters

PASSAGES = 13  # in batches of 2 x 2 the last one leaves a process without a row


def run(jobs: list[dict]) -> None:
    processes = join()
    for job in jobs:
        die = job.get("die")

        def told(progress: Progress, die: int | None = die) -> None:
            if die is not None and progress.phase == "train" and progress.step == die:
                os.kill(os.getpid(), signal.SIGKILL)

        train(
            job["model"], letters(PASSAGES), job["out"], TrainConfig(**job["config"]),
            heldout=letters(5, 1), resume=job.get("resume", False), fsdp=job.get("fsdp", False),
            processes=processes, on_progress=told,
        )  # fmt: skip
    leave(processes)


if __name__ == "__main__":
    run(json.loads(sys.argv[1]))
