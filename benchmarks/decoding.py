"""A step of decoding beside a plain pass over as many tokens, on the CPU.

96 texts grow by one token each after prompts of 32, to 96 new tokens; the prompts themselves are
read before and not counted. In turn with groups of steps, 8 rows of 96 tokens are read at once with
logits at every position. Figures are medians over rounds of processor seconds per token, which say
the same on a busy machine, and their ratio. Writes benchmarks/results/decoding.json.

Usage (from the project's root): python -m benchmarks.decoding [--models smollm2 ...] [--rounds 5]
       [--rows 96] [--threads 1]
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

from benchmarks import record
from benchmarks.gpu_decode import PROMPT, some_prompts
from hyperinterp.generation.inside import Inside
from hyperinterp.generation.keys import PromptKeys
from hyperinterp.generation.stepping import Steps
from hyperinterp.models import HookedModel, load

NEW_TOKENS = 96
READ = 8, 96
"""Rows and tokens of a plain pass."""
GROUP = 8
"""Steps between two plain passes."""


def spent(work: Callable[[], object]) -> float:
    """Processor seconds of this process."""
    start = time.process_time()
    work()
    return time.process_time() - start


@torch.no_grad()
def measured(model: HookedModel, rows: int, rounds: int) -> dict[str, Any]:
    """Processor seconds per token of both, over rounds of a whole text each."""
    prompts = list(some_prompts(model, rows).rows)
    keys = PromptKeys(model)
    ids = torch.randint(5, model.vocab_size, READ, generator=torch.Generator().manual_seed(0))
    last = torch.tensor([row[-1:] for row in prompts])
    Steps(keys, prompts, 1, Inside()).next(last)  # reads the prompts, once for all rounds
    model.logits(ids[:1])
    step: list[float] = []
    plain: list[float] = []
    by_length: dict[int, list[float]] = {}
    for _ in range(rounds):
        steps, whole, passes = Steps(keys, prompts, NEW_TOKENS, Inside()), 0.0, 0.0

        def group(steps: Steps = steps) -> None:
            for _ in range(GROUP):
                steps.next(last)

        for done in range(0, NEW_TOKENS, GROUP):
            seconds = spent(group)
            whole += seconds
            by_length.setdefault(PROMPT + done, []).append(seconds / GROUP / rows)
            if done % (3 * GROUP) == 0:
                passes += spent(lambda: model.logits(ids))
        step.append(whole / NEW_TOKENS / rows)
        plain.append(passes / -(-NEW_TOKENS // (3 * GROUP)) / ids.numel())
    middle = {"step": statistics.median(step), "plain": statistics.median(plain)}
    return {
        "rows": rows,
        "prompt_tokens": PROMPT,
        "new_tokens": NEW_TOKENS,
        "seconds_per_token": {"step": step, "plain": plain},
        "step_seconds_per_token_by_length": {
            str(length): statistics.median(values) for length, values in by_length.items()
        },
        "step_tokens_over_plain_tokens": middle["plain"] / middle["step"],
    }


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", default=["smollm2"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=96)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    found: dict[str, Any] = {}
    for name in given.models:
        found[name] = measured(load(name), given.rows, given.rounds)
        path = record.write("decoding", {"models": found}, given.threads)
        share = found[name]["step_tokens_over_plain_tokens"]
        print(f"{name}: a step does {share:.0%} of the tokens per second of a plain pass; {path}")


if __name__ == "__main__":
    main()
