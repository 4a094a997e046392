"""Late-stage training with the frozen-prefix cache against plain peft + HF Trainer.

Both do the same job (SmolLM2-135M, last 5 blocks, LoRA rank 32, batch 8 x 128 tokens, AdamW) in
one process, alternating; the limit is the ratio of the operation counts. Peak memory of late-stage
against full training is measured in fresh processes. Writes benchmarks/results/training.json.

Usage: python -m benchmarks.training [--rounds 6] [--steps 3] [--threads 2] [--skip-memory]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import peft
import torch
from transformers import PrinterCallback, Trainer, TrainerCallback

from benchmarks import record
from benchmarks.device import settle
from hyperinterp.models import HookedModel, load
from hyperinterp.text import TokenRows, builtin_passages
from hyperinterp.training import TrainConfig
from hyperinterp.training.data import EpochSampler, prepare_rows
from hyperinterp.training.module import LossModule
from hyperinterp.training.prefix import PrefixCache, build_prefix
from hyperinterp.training.targets import lora_config, trainable
from hyperinterp.training.trainer import HyperfitTrainer, arguments

CONFIG = TrainConfig(
    blocks="last:5",
    rank=32,
    batch_size=8,
    seq_len=128,
    epochs=999,
    target_loss=None,
    schedule="constant",
)
PASSAGES = 32


@dataclass(frozen=True)
class Operations:
    """Floating-point operations per token of one training step (a product and a sum are two).

    Attributes:
        ordinary: all blocks forward, the last k backward, readout forward and backward.
        cached: the same without the frozen blocks.
        ratio: ordinary / cached, the most that caching can gain.
        full: all weights trained, for comparison.
    """

    ordinary: float
    cached: float
    ratio: float
    full: float


def count_operations(model: HookedModel, config: TrainConfig) -> Operations:
    """Count from the shapes of a Llama-like model.

    A linear map of P weights costs 2 P per token forward, 2 P for the gradient of its input and
    2 P for that of its weights (LoRA only). Causal attention costs 2 T d per block forward (half
    of 4 T d, as half of the scores are masked) and twice that backward. The first trained block's
    query, key and value need no gradient of their input. Norms, softmax, activation functions
    and the optimiser are left out: below 1 %.
    """
    hf = model.hf.config
    width, inner, rank = hf.hidden_size, hf.intermediate_size, config.rank
    key_width = width * hf.num_key_value_heads // hf.num_attention_heads
    maps = [(width, width), (width, key_width), (width, key_width), (width, width)]
    maps += [(width, inner), (width, inner), (inner, width)]
    block = 2.0 * sum(a * b for a, b in maps)
    attention = 2.0 * config.seq_len * width
    adapter = 2.0 * sum(rank * (a + b) for a, b in maps)
    readout = 2.0 * hf.vocab_size * width
    unneeded = 2.0 * sum(a * b for a, b in maps[:3])
    layers = hf.num_hidden_layers
    trained = layers if config.placement is None else config.placement.size
    suffix = trained * (2 * block + 3 * attention + 3 * adapter) - unneeded + 2 * readout
    ordinary = (layers - trained) * (block + attention) + suffix
    full = layers * (3 * block + 3 * attention) + 3 * readout
    return Operations(ordinary, suffix, ordinary / suffix, full)


class Stopwatch(TrainerCallback):
    """Wall and processor seconds of each step, the first of each round left out."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds: list[float] = []
        self.processor: list[float] = []
        self._began = self._processor_began = 0.0

    def on_step_begin(self, _args: Any, _state: Any, _control: Any, **_: Any) -> None:
        """Look at the clocks."""
        settle(self.device)
        self._began, self._processor_began = time.perf_counter(), time.process_time()

    def on_step_end(self, _args: Any, state: Any, _control: Any, **_: Any) -> None:
        """Look at the clocks again."""
        settle(self.device)
        if state.global_step > 1:
            self.seconds.append(time.perf_counter() - self._began)
            self.processor.append(time.process_time() - self._processor_began)


class OrderedTrainer(Trainer):
    """HF Trainer as it is, but for our order of the rows, so that both do the same job."""

    def _get_train_sampler(self, train_dataset: Any = None) -> EpochSampler:
        return EpochSampler(PASSAGES, CONFIG.seed)


def real_model() -> HookedModel:
    """The built-in model, as the tables of the CPU have it."""
    return load("smollm2", device="cpu")


def plain_trainer(
    hooked: HookedModel, rows: TokenRows, steps: int, folder: Path, watch: Stopwatch
) -> Trainer:
    """The reference: peft's model and HF's Trainer, nothing of ours in the step."""
    torch.manual_seed(CONFIG.seed)
    model = peft.get_peft_model(hooked.hf, lora_config(hooked, CONFIG))
    data = [{"input_ids": list(row), "labels": list(row)} for row in rows.rows]
    args = arguments(CONFIG, folder, hooked.device)
    args.max_steps = steps
    trainer = OrderedTrainer(model=model, args=args, train_dataset=data, callbacks=[watch])
    trainer.remove_callback(PrinterCallback)
    return trainer


class Losses(TrainerCallback):
    """Loss of every step of our trainer."""

    def __init__(self) -> None:
        self.trainer: HyperfitTrainer | None = None
        self.found: list[float] = []

    def on_step_end(self, _args: Any, _state: Any, _control: Any, **_: Any) -> None:
        """Keep the loss."""
        assert self.trainer is not None
        self.found.append(self.trainer.figures.loss)


def _cache(model: HookedModel, rows: TokenRows, start: int, folder: Path) -> PrefixCache:
    return build_prefix(model, rows, start, batch_size=8, budget_bytes=1 << 40, folder=folder)


def speed(rounds: int, steps: int, make: Callable[[], HookedModel] = real_model) -> dict[str, Any]:
    """Alternate the two trainers and compare the medians; `make` gives each its model."""
    model = make()
    rows, _ = prepare_rows(model.tokenizer, builtin_passages("train").head(PASSAGES), 128)
    assert all(len(row) == 128 for row in rows.rows), "the job is 32 passages of 128 tokens"
    watches = {name: Stopwatch(model.device) for name in ("plain", "cached")}
    counted = count_operations(model, CONFIG)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        plain = plain_trainer(make(), rows, steps, folder, watches["plain"])
        began = time.perf_counter()
        start = model.n_layers - CONFIG.placement.size
        cache = _cache(model, rows, start, folder)
        prefix_seconds = time.perf_counter() - began
        torch.manual_seed(CONFIG.seed)
        stack.enter_context(trainable(model, CONFIG))
        module = LossModule(model, start)
        ours = HyperfitTrainer(module, rows, cache, CONFIG, folder, [watches["cached"]])
        ours.args.max_steps = steps
        ratios = []
        for _ in range(rounds):
            plain.train()
            ours.train()
            newest = {
                name: statistics.median(w.seconds[1 - steps :]) for name, w in watches.items()
            }
            ratios.append(newest["plain"] / newest["cached"])
    tokens = CONFIG.batch_size * CONFIG.seq_len
    medians = {name: statistics.median(watch.seconds) for name, watch in watches.items()}
    ratio = medians["plain"] / medians["cached"]
    busy = {name: statistics.median(watch.processor) for name, watch in watches.items()}
    busy_ratio = busy["plain"] / busy["cached"]
    return {
        "tokens_per_step": tokens,
        "seconds_per_step": {name: watch.seconds for name, watch in watches.items()},
        "tokens_per_second": {name: tokens / median for name, median in medians.items()},
        "processor_seconds_per_step": {name: w.processor for name, w in watches.items()},
        "ratio_of_medians": ratio,
        "ratio_of_processor_medians": busy_ratio,
        "ratio_per_round": ratios,
        "operations_per_token": asdict(counted),
        "share_of_limit": ratio / counted.ratio,
        "share_of_limit_by_processor_time": busy_ratio / counted.ratio,
        "prefix_seconds_once": prefix_seconds,
        "prefix_bytes": cache.nbytes,
    }


def agreement(steps: int) -> dict[str, Any]:
    """Losses of both trainers over the same steps on the real model."""
    model = load("smollm2", device="cpu")
    rows, _ = prepare_rows(model.tokenizer, builtin_passages("train").head(PASSAGES), 128)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        plain = plain_trainer(real_model(), rows, steps, folder, Stopwatch(model.device))
        plain.args.logging_strategy, plain.args.logging_steps = "steps", 1
        plain.state.logging_steps = 1
        plain.train()
        expected = [line["loss"] for line in plain.state.log_history if "loss" in line]
        start = model.n_layers - CONFIG.placement.size
        cache = _cache(model, rows, start, folder)
        torch.manual_seed(CONFIG.seed)
        stack.enter_context(trainable(model, CONFIG))
        losses = Losses()
        ours = HyperfitTrainer(LossModule(model, start), rows, cache, CONFIG, folder, [losses])
        ours.args.max_steps, losses.trainer = steps, ours
        ours.train()
    worst = max(abs(a - b) for a, b in zip(expected, losses.found, strict=True))
    return {"steps": steps, "plain": expected, "cached": losses.found, "largest_difference": worst}


def peak(method: str) -> None:
    """In a fresh process: print resident bytes before training and the peak during 3 steps."""
    config = TrainConfig(method=method, blocks="last:5", max_steps=3, target_loss=None)
    model = load("smollm2", device="cpu")
    rows, _ = prepare_rows(model.tokenizer, builtin_passages("train").head(16), 128)
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak of loading
    before = _status("VmRSS")
    with tempfile.TemporaryDirectory() as name, trainable(model, config) as chosen:
        folder, start = Path(name), chosen.blocks[0]
        cache = None
        if start:
            cache = _cache(model, rows, start, folder)
        HyperfitTrainer(LossModule(model, start), rows, cache, config, folder, []).train()
    print(json.dumps({"before": before, "peak": _status("VmHWM")}))


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


def memory() -> dict[str, Any]:
    """Peak resident memory of both methods, each in its own process."""
    found: dict[str, Any] = {}
    for method in ("late-stage", "full"):
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.training", "--peak", method],
            capture_output=True, text=True, check=True, env=dict(os.environ),
        )  # fmt: skip
        found[method] = json.loads(done.stdout.splitlines()[-1])
    above = {name: one["peak"] - one["before"] for name, one in found.items()}
    return {
        "bytes": found,
        "above_the_loaded_model": above,
        "full_over_late_stage": found["full"]["peak"] / found["late-stage"]["peak"],
    }


def main() -> None:
    """Run and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--agreement-steps", type=int, default=0)
    parser.add_argument("--skip-memory", action="store_true")
    parser.add_argument("--peak", choices=("full", "late-stage"))
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    warnings.filterwarnings("ignore", message=".*(is_gradient_checkpointing|pin_memory).*")
    if given.peak:
        peak(given.peak)
        return
    found: dict[str, Any] = {
        "job": CONFIG.as_json(),
        "speed": speed(given.rounds, given.steps),
    }
    if given.agreement_steps:
        found["agreement"] = agreement(given.agreement_steps)
    if not given.skip_memory:
        found["memory"] = memory()
    record.write("training", found, given.threads)
    told = {name: value for name, value in found["speed"].items() if "seconds_per" not in name}
    print(json.dumps({**told, "memory": found.get("memory")}, indent=2))


if __name__ == "__main__":
    main()
