"""What a whole comparison takes beside its models: processor seconds, in one process.

A quick comparison of SmolLM2-135M and a twin whose last blocks differ runs once. Time inside the
embedding, the blocks, the final norm and the unembedding counts as forwards, time inside the
writing of texts as writing (with its own forwards), the rest as what hyperinterp adds: loading,
measures, intervals, interventions.
Writes benchmarks/results/overhead.json.

Usage (from the project's root): python -m benchmarks.overhead [--preset quick] [--threads 1]
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import torch

import hyperinterp as hi
from benchmarks import record
from benchmarks.cost import late_twin
from hyperinterp import generations
from hyperinterp.models import HookedModel
from hyperinterp.sizes import PRESETS


@dataclass
class Spent:
    """Processor seconds by what they went into; what runs inside another part counts there."""

    seconds: dict[str, float] = field(default_factory=lambda: {"forwards": 0.0, "writing": 0.0})
    _inside: int = 0
    _start: float = 0.0

    def enter(self) -> None:
        """Begin a part, unless one has begun."""
        if not self._inside:
            self._start = time.process_time()
        self._inside += 1

    def leave(self, name: str) -> None:
        """End a part."""
        self._inside -= 1
        if not self._inside:
            self.seconds[name] += time.process_time() - self._start

    @property
    def known(self) -> float:
        """Seconds of all parts, of one that has not ended too."""
        running = time.process_time() - self._start if self._inside else 0.0
        return sum(self.seconds.values()) + running

    def timed(self, name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, its time added to a part."""

        def run(*given: Any, **named: Any) -> Any:
            self.enter()
            try:
                return work(*given, **named)
            finally:
                self.leave(name)

        return run


@contextmanager
def watched(*models: HookedModel) -> Iterator[Spent]:
    """Count the time of the models and of writing for the time of a context."""
    spent = Spent()
    parts = [block for model in models for block in model.blocks]
    for model in models:
        parts += [model.hf.get_submodule(model.anatomy.unembed), model.final_norm]
        parts.append(model.hf.get_input_embeddings())
    with ExitStack() as stack:
        for part in dict.fromkeys(parts):
            begin = part.register_forward_pre_hook(lambda *_: spent.enter())
            end = part.register_forward_hook(lambda *_: spent.leave("forwards"), always_call=True)
            stack.callback(begin.remove)
            stack.callback(end.remove)
        writing = spent.timed("writing", generations.write_all)
        stack.enter_context(patch.object(generations, "write_all", writing))
        yield spent


def main() -> None:
    """Compare once, write and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", choices=tuple(PRESETS), default="quick")
    parser.add_argument("--blocks", type=int, default=5, help="last blocks that differ")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    base = hi.load("smollm2")
    fitted = late_twin(base, given.blocks)
    rest: dict[str, float] = {}
    state = {"last": time.process_time(), "known": 0.0}

    def told(task: str, done: int, total: int) -> None:
        if done == total:
            now, known = time.process_time(), spent.known
            rest[task] = rest.get(task, 0.0) + (now - state["last"]) - (known - state["known"])
            state.update(last=now, known=known)
            print(f"{task}: {now - start:.1f} s", file=sys.stderr)

    with watched(base, fitted) as spent:
        start = state["last"] = time.process_time()
        report = hi.compare(base, fitted, preset=given.preset, progress=told)
        total = time.process_time() - start
    known = spent.known
    found = {
        "preset": given.preset,
        "total_seconds": total,
        **spent.seconds,
        "total_over_models": total / known,
        "most_beside_models": dict(sorted(rest.items(), key=lambda it: -it[1])[:12]),
        "claims": {name: str(claim.verdict) for name, claim in report.claims.items()},
    }
    print(record.write("overhead", found, given.threads))
    print(f"{total:.1f} s in all, {known:.1f} s in models and writing: {total / known:.2f}")


if __name__ == "__main__":
    main()
