"""Run as a script: kills trainings with SIGKILL at random times, resumes them, prints JSON.

Every training is a process of its own, forked from this one so that the imports are paid once.
Usage: killer.py BASE FOLDER KILLS KILLS_IN_A_SAVE SEED
"""

import json
import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
import transformer_lens  # noqa: F401  (loaded here once, not in every child)

from hyperinterp.errors import InputRefused
from hyperinterp.text import Passage, Passages
from hyperinterp.training import Progress, TrainConfig, resume, run_directory, train

STEPS = 30
CONFIG = TrainConfig(
    blocks="last:2", rank=4, batch_size=4, seq_len=30, epochs=99, max_steps=STEPS, target_loss=None,
    resume_every=0.0, save_at=(5.0, 4.0), lr=5e-3,
)  # fmt: skip


def passages() -> Passages:
    draw = random.Random(5)
    texts = ["".join(draw.choice("abcdefgh ") for _ in range(25)) for _ in range(14)]
    return Passages(tuple(Passage(str(n), t) for n, t in enumerate(texts)), "letters")


def one_training(base: Path, out: Path, marks: Path, slow: bool, after: int) -> None:
    torch.set_num_threads(1)
    if slow:  # a save takes long enough to be hit: tell when it begins, and dawdle inside
        honest, calls = resume.save_file, [0]

        def dawdling(*args: object, **kwargs: object) -> None:
            calls[0] += 1
            if calls[0] > after:
                (marks / "saving").touch()
            time.sleep(0.03)
            honest(*args, **kwargs)
            time.sleep(0.03)

        resume.save_file = dawdling

    steps = [0]

    def progress(told: Progress) -> None:
        steps[0] += told.phase == "train"
        if steps[0] > after:
            (marks / "training").touch()

    train(base, passages(), out, CONFIG, device="cpu", resume=True, on_progress=progress)


def forked(job: Callable[[], None]) -> int:
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        job()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def wait_for(path: Path, child: int) -> bool:
    """Whether the mark appeared before the child ended."""
    while not path.exists():
        if os.waitpid(child, os.WNOHANG) != (0, 0):
            return False
        time.sleep(0.002)
    return True


def main() -> None:
    base, folder = Path(sys.argv[1]), Path(sys.argv[2])
    kills, in_saves, draw = int(sys.argv[3]), int(sys.argv[4]), random.Random(int(sys.argv[5]))
    report: dict = {"kills": 0, "in_saves": 0, "resumed_from": [], "finished": []}
    run, marks = 0, folder / "marks"
    marks.mkdir(parents=True)
    while report["kills"] < kills:
        out = folder / f"run-{run}"
        for name in ("saving", "training"):
            (marks / name).unlink(missing_ok=True)
        in_a_save = report["in_saves"] < in_saves
        after = draw.randint(0, 8)
        child = forked(partial(one_training, base, out, marks, in_a_save, after))
        if not wait_for(marks / ("saving" if in_a_save else "training"), child):
            run += 1
            report["finished"].append(str(out))
            continue
        # Early enough to leave work undone, at any point of a step, a save or the publication.
        time.sleep(draw.uniform(0.0, 0.06 if in_a_save else 0.2))
        if os.waitpid(child, os.WNOHANG) != (0, 0):
            run += 1
            report["finished"].append(str(out))
            continue
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        report["kills"] += 1
        report["in_saves"] += in_a_save
        points = sorted(run_directory(out).glob("step-*"))
        report["resumed_from"].append(max((int(p.name[5:]) for p in points), default=0))
    out = folder / f"run-{run}"
    if not out.exists():  # else the last kill came after the publication
        _, status = os.waitpid(forked(partial(one_training, base, out, marks, False, 99)), 0)
        if status:
            raise InputRefused(f"{out}: the last resumption failed")
    report["finished"].append(str(out))
    print(json.dumps(report))


if __name__ == "__main__":
    main()
