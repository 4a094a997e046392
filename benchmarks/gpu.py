"""What the toolkit does on a card: six parts, each in a process of its own with its own limit.

For a machine with a card and no package index: `--packed` takes what `benchmarks.gpu_pack` made.
Every figure is written as soon as it is there, so that a hang or a crash costs one part only.
Writes benchmarks/results/gpu.json, a table beside it, and every figure of part a in
gpu.figures.json. Without a card all parts run on the CPU, which is for rehearsals with `--small`.

Usage: python -m benchmarks.gpu [--out FILE] [--parts a,c,e,f,b,d] [--minutes 13] [--packed DIR]
       [--small] [--model smollm2]
"""

import argparse
import contextlib
import faulthandler
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.gpu_pack import unpack
from benchmarks.gpu_table import markdown

RESULTS = Path(__file__).parent / "results" / "gpu.json"
COMMAND = [sys.executable, "-m", "benchmarks.gpu"]
TAIL = 3000
"""Characters kept of what a part that failed had to say."""


@dataclass(frozen=True)
class Part:
    """One part: what it measures, its code, and how long it may take.

    Attributes:
        words: what it measures.
        code: module and function.
        seconds: after so many it is stopped.
    """

    words: str
    code: str
    seconds: float


PARTS = {
    "a": Part("figures and verdicts on the card and on the CPU", "gpu_pair:agreement", 210),
    "c": Part("decoding against transformers' generate", "gpu_decode:decoding", 50),
    "e": Part("hyperfit at the paper's size", "gpu_pair:paper", 165),
    "f": Part("the claims on pairs of the real model", "gpu_claims:real_pairs", 200),
    "b": Part("an 8B pair of random weights", "gpu_eight:eight", 105),
    "d": Part("capture, patching and training, as ratios", "gpu_ratios:ratios", 60),
}
"""In the order in which they run."""

MINUTES = sum(part.seconds for part in PARTS.values()) / 60
"""For all parts: what the limits above add up to."""


class Results:
    """The file of results; every change replaces it in one step."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> dict[str, Any]:
        """All that is known, by part."""
        if not self.path.is_file():
            return {"parts": {}}
        found: dict[str, Any] = json.loads(self.path.read_text(encoding="utf-8"))
        return found

    def update(self, part: str, figures: dict[str, Any], *, anew: bool = False) -> None:
        """Add figures to a part, or begin it anew; the table follows."""
        known = self.read()
        before = {} if anew else known["parts"].get(part, {})
        known["parts"][part] = before | figures
        order = [name for name in PARTS if name in known["parts"]]
        known["parts"] = {name: known["parts"][name] for name in order}
        self.replace(self.path, json.dumps(known, indent=1) + "\n")
        self.replace(self.path.with_suffix(".md"), markdown(known["parts"]))

    def beside(self, name: str, document: Any) -> str:
        """Write another document next to the results; returns the name of its file."""
        path = self.path.with_suffix(f".{name}.json")
        self.replace(path, json.dumps(document, separators=(",", ":")) + "\n")
        return path.name

    @staticmethod
    def replace(path: Path, text: str) -> None:
        """Write aside, then rename."""
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f".{path.name}.{os.getpid()}")
        aside.write_text(text, encoding="utf-8")
        aside.replace(path)


def measure(name: str, given: argparse.Namespace, results: Results) -> None:
    """In a part's own process: measure, and write on the way."""
    from benchmarks.gpu_job import Job

    left = given.until - time.monotonic()
    faulthandler.dump_traceback_later(max(1.0, left - 2))  # says where it was when it is stopped
    module, _, function = PARTS[name].code.partition(":")
    job = Job(
        model=given.model,
        small=given.small,
        seconds=left,
        tell=lambda **figures: results.update(name, figures),
        beside=results.beside,
    )
    job.tell(**job.facts())
    getattr(importlib.import_module(f"benchmarks.{module}"), function)(job)


@contextlib.contextmanager
def _ended(process: "subprocess.Popen[bytes]") -> Iterator[None]:
    """Whatever happens, leave nothing of a part running."""
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def run_part(name: str, given: argparse.Namespace, results: Results, most: float) -> str:
    """Start a part's process, wait for it at most so long, and say how it ended."""
    began = time.monotonic()
    results.update(name, {"words": PARTS[name].words, "ended": "not yet"}, anew=True)
    command = [*COMMAND, "--part", name, "--out", str(results.path), "--model", given.model,
               "--until", f"{time.monotonic() + most:.1f}"]  # fmt: skip
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [*command, *(["--small"] if given.small else [])],
            stdout=said, stderr=subprocess.STDOUT, process_group=0,
        )  # fmt: skip
        with _ended(process):
            try:
                code = process.wait(most)
                ended = "finished" if code == 0 else f"failed with exit code {code}"
            except subprocess.TimeoutExpired:
                ended = f"stopped at its limit of {most:.0f} s"
        said.seek(0)
        last = said.read().decode(errors="replace")[-TAIL:]
    figures: dict[str, Any] = {"ended": ended, "wall_seconds": time.monotonic() - began}
    results.update(name, figures | ({} if ended == "finished" else {"said": last}))
    return ended


def _prepared(packed: Path | None) -> None:
    """Let this process and those of the parts find this checkout and what was packed for it."""
    root = str(Path(__file__).resolve().parent.parent)
    places = [root, *(map(str, unpack(packed)) if packed is not None else ())]
    known = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([*places, *([known] if known else [])])
    sys.path[:0] = [place for place in places if place not in sys.path]  # the table needs it, too
    importlib.invalidate_caches()  # a place that was not there at the start may be one now
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")


def main() -> int:
    """Run the parts one after the other; 0 when every one of them finished."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument(
        "--minutes",
        type=float,
        default=MINUTES,
        help="for all parts together; limits scale with it",
    )
    parser.add_argument("--packed", type=Path, help="folder that benchmarks.gpu_pack made")
    parser.add_argument("--small", action="store_true", help="reduced sizes: a rehearsal")
    parser.add_argument("--model", default="smollm2", help="the real model; any name of load")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    parser.add_argument("--until", type=float, default=0.0, help=argparse.SUPPRESS)
    given = parser.parse_args()
    results = Results(given.out.resolve())
    if given.part:
        measure(given.part, given, results)
        return 0
    wanted = given.parts.split(",")
    if unknown := set(wanted) - set(PARTS):
        parser.error(f"--parts: expected some of {','.join(PARTS)}, found {','.join(unknown)}")
    signal.signal(signal.SIGTERM, lambda *_given: sys.exit(143))  # no part outlives this
    until = time.monotonic() + 60 * given.minutes
    _prepared(given.packed)
    ends = []
    for name in (name for name in PARTS if name in wanted):
        limit = PARTS[name].seconds * given.minutes / MINUTES
        most = min(limit, until - time.monotonic())
        if most < 1:
            ends.append("no time left")
            results.update(name, {"words": PARTS[name].words, "ended": ends[-1]}, anew=True)
        else:
            ends.append(run_part(name, given, results, most))
        print(f"{name}: {PARTS[name].words}: {ends[-1]}", flush=True)
    print(results.path.with_suffix(".md").read_text(encoding="utf-8"))
    return int(any(end != "finished" for end in ends))


if __name__ == "__main__":
    sys.exit(main())
