"""Part b: an 8B pair of random bfloat16 weights made on the card; memory and time by phase."""

import gc
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from benchmarks.device import forget_peak, give_back, peak_bytes, settle
from benchmarks.gpu_job import Job
from benchmarks.gpu_pair import FEWEST
from hyperinterp.comparison import compare
from hyperinterp.models import HookedModel
from hyperinterp.sizes import PRESETS

SHAPE = {
    "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
    "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 128256,
}  # fmt: skip
SMALL = {
    "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 4,
    "num_attention_heads": 4, "num_key_value_heads": 2,
}  # fmt: skip
CHANGED, STEP = 5, 1e-3
"""Last blocks in which the fitted model differs, and the size of the change, in weight units."""

ORDER = ("C1", "C4", "C6", "C5")
"""From what takes little memory and time to what takes most."""


class OutOfTime(Exception):
    """A claim has used the time that it was given."""


@dataclass
class Phases:
    """Seconds and peak memory between one task's first word and the next one's.

    Attributes:
        device: where memory is counted.
        until: raise `OutOfTime` at the first word after this moment.
        tell: told of all phases at every new one.
    """

    device: torch.device
    until: float
    tell: Callable[[dict[str, Any]], None]
    name: str = "start"
    found: dict[str, dict[str, Any]] = field(default_factory=dict)
    _since: float = field(default_factory=time.monotonic)

    def __call__(self, task: str, _done: int, _total: int) -> None:
        """Progress of a comparison."""
        if task != self.name:
            self.close()
            self.name = task
        if time.monotonic() > self.until:
            raise OutOfTime

    def close(self) -> None:
        """Write down the phase that ends here."""
        settle(self.device)
        now = time.monotonic()
        mine = self.found.setdefault(self.name, {"seconds": 0.0, "peak_bytes": None})
        mine["seconds"] += now - self._since
        mine["peak_bytes"] = max((p for p in (mine["peak_bytes"], peak_bytes(self.device)) if p),
                                 default=None)  # fmt: skip
        self._since = now
        forget_peak(self.device)
        self.tell(self.found)


def random_model(shape: dict[str, Any], device: torch.device, seed: int) -> LlamaForCausalLM:
    """A Llama whose weights are drawn where they stay, in bfloat16 from the first."""
    before = torch.get_default_dtype()
    torch.manual_seed(seed)
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device(device):
            return LlamaForCausalLM(LlamaConfig(**shape)).eval()
    finally:
        torch.set_default_dtype(before)


def random_pair(
    shape: dict[str, Any], device: torch.device
) -> tuple[LlamaForCausalLM, LlamaForCausalLM]:
    """A model, and one of the same weights but for small changes in its last blocks."""
    base, fitted = (random_model(shape, device, 0) for _ in range(2))
    with torch.no_grad():
        for ours, theirs in zip(base.parameters(), fitted.parameters(), strict=True):
            theirs.copy_(ours)
        for block in fitted.model.layers[-CHANGED:]:
            for weight in block.parameters():
                weight.add_(torch.randn_like(weight), alpha=STEP)
    return base, fitted


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    """Raise `OutOfTime` after so many seconds, also where nothing tells of progress."""

    def ring(*_given: object) -> None:
        raise OutOfTime

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, max(0.01, seconds))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def eight(job: Job) -> None:
    """Make the pair, then ask for one claim after the other; the end of each is a result."""
    tokenizer = job.base.tokenizer
    # More rows than the tokenizer has tokens, as in the large shape.
    shape = SMALL | {"vocab_size": job.base.vocab_size + 64} if job.small else SHAPE
    del job.base
    gc.collect()
    give_back(job.device)
    forget_peak(job.device)
    began = time.monotonic()
    models = random_pair(shape, job.device)
    settle(job.device)
    job.tell(
        shape=shape,
        changed=f"the last {CHANGED} blocks, by normal noise of {STEP} in bfloat16",
        making={"seconds": time.monotonic() - began, "peak_bytes": peak_bytes(job.device)},
        weight_bytes=sum(weight.nbytes for model in models for weight in model.parameters()),
        weights=sum(weight.numel() for weight in models[0].parameters()),
    )
    pair = [
        HookedModel(model, tokenizer, name=name)
        for model, name in zip(models, ("base", "fitted"), strict=True)
    ]
    ends: dict[str, Any] = {}
    for index, claim in enumerate(ORDER):
        if job.left < 5:
            ends[claim] = {"ended": "no time left"}
            job.tell(claims=ends)
            continue
        ends[claim] = {"ended": "not yet"}
        until = time.monotonic() + (job.left - 3) / (len(ORDER) - index)
        ends[claim] |= _claim(job, pair, claim, until, ends)
        job.tell(claims=ends)


def _claim(
    job: Job, pair: list[HookedModel], claim: str, until: float, ends: dict[str, Any]
) -> dict[str, Any]:
    """One comparison by phases; that memory or time ran out is said with the phase."""

    def tell(phases: dict[str, Any]) -> None:
        ends[claim]["phases"] = phases
        job.tell(claims=ends)

    sizes = FEWEST if job.small else replace(PRESETS["quick"], patch_prompts=2, null_draws=1)
    gc.collect()
    give_back(job.device)
    forget_peak(job.device)
    phases = Phases(job.device, until, tell)
    try:
        with _alarm(until - time.monotonic()):
            report = compare(*pair, claims=claim, sizes=sizes, progress=phases)
    except OutOfTime:
        phases.close()
        return {"ended": "its time was up", "phase": phases.name}
    except torch.OutOfMemoryError as error:
        phases.close()
        return {"ended": "memory ran out", "phase": phases.name, "said": str(error)[:400]}
    phases.close()
    return {
        "ended": "finished",
        "verdict": str(report.claims[claim].verdict),
        "by_analysis": report.provenance.wall_seconds,
    }
