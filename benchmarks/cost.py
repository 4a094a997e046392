"""What a claim makes the models do, counted: tokens through each block and each unembedding.

A token through the whole model counts 1; through one block, that block's share of the weights that
a token is multiplied by. So a replayed suffix, a decoded token and a readout add up, and no clock
is asked. What claims share (the passages read once, the two models' own texts) is not counted.
Writes benchmarks/results/cost.json: SmolLM2-135M and a twin whose last blocks differ.

Usage (from the project's root): python -m benchmarks.cost [--preset quick] [--blocks 5]
"""

import argparse
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks import record
from hyperinterp import load
from hyperinterp.claims import registry
from hyperinterp.claims.running import evaluated
from hyperinterp.models import HookedModel
from hyperinterp.sizes import PRESETS, Sizes
from hyperinterp.text import Passages, builtin_passages
from hyperinterp.under_comparison import Study
from tests.hyperinterp.claims.planted import disturb
from tests.hyperinterp.claims.tiny import changed


@dataclass
class Count:
    """Tokens times the share of the model that they went through.

    Attributes:
        blocks: through blocks.
        readouts: through the unembedding.
    """

    blocks: float = 0.0
    readouts: float = 0.0

    @property
    def total(self) -> float:
        """Tokens through the whole model that would be as much work."""
        return self.blocks + self.readouts


def _entries(module: nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters() if weight.ndim > 1)


@contextmanager
def counted(*models: HookedModel) -> Iterator[Count]:
    """Count what runs of these models, copies of their blocks included, for the time of a context.

    Args:
        models: of one shape.
    """
    count, first = Count(), models[0]
    head = first.hf.get_submodule(first.anatomy.unembed)
    whole = sum(map(_entries, first.blocks)) + _entries(head)

    def adds(name: str, share: float) -> Any:
        def after(_module: nn.Module, given: tuple[Any, ...], named: dict[str, Any], _out: Any):
            stream: Tensor = given[0] if given else named["hidden_states"]
            tokens = stream.shape[:-1].numel()
            setattr(count, name, getattr(count, name) + share * tokens)

        return after

    with ExitStack() as stack:
        for block in dict.fromkeys(block for model in models for block in model.blocks):
            after = adds("blocks", _entries(block) / whole)
            stack.callback(block.register_forward_hook(after, with_kwargs=True).remove)
        for part in dict.fromkeys(m.hf.get_submodule(m.anatomy.unembed) for m in models):
            after = adds("readouts", _entries(head) / whole)
            stack.callback(part.register_forward_hook(after, with_kwargs=True).remove)
        yield count


def cost_of(study: Study, claim: str) -> tuple[Count, float]:
    """Measure one claim after the runs that others share; return its cost and the seconds."""
    (spec,) = registry.chosen(claim)
    start = time.perf_counter()
    with counted(study.base, study.fitted) as count:
        evaluated(spec, study)
    return count, time.perf_counter() - start


def late_twin(base: HookedModel, blocks: int) -> HookedModel:
    """A copy of a Llama whose last blocks have other weights."""

    def change(hf: Any) -> None:
        for seed, block in enumerate(hf.model.layers[-blocks:]):
            disturb(block, 0.3, seed)

    return changed(base, change)


def shared_study(base: HookedModel, fitted: HookedModel, texts: Passages, sizes: Sizes) -> Study:
    """A study whose passages are read and whose own texts are written, as beside other claims."""
    wanted = frozenset(name for spec in registry.CLAIMS for name in spec.runs)
    study = Study(base, fitted, texts, sizes=sizes, wanted=wanted)
    study.shared.texts.order_greedy("base", "fitted")
    study.shared.texts.greedy("base")
    assert study.shared.geometry.half
    return study


def main() -> None:
    """Count, write and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", choices=tuple(PRESETS), default="quick")
    parser.add_argument("--claims", default="C6,C12")
    parser.add_argument("--blocks", type=int, default=5, help="last blocks that differ")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    base = load("smollm2", device="cpu")
    sizes: Sizes = PRESETS[given.preset]
    rows: dict[str, Any] = {}
    twin = late_twin(base, given.blocks)
    study = shared_study(base, twin, builtin_passages("heldout"), sizes)
    for spec in registry.chosen(given.claims):
        count, seconds = cost_of(study, spec.id)
        rows[spec.id] = {
            "tokens through blocks": round(count.blocks),
            "tokens through the unembedding": round(count.readouts),
            "tokens through the model": round(count.total),
            "seconds": round(seconds, 1),
        }
        print(spec.id, rows[spec.id], file=sys.stderr)
    figures = {"preset": given.preset, "blocks": given.blocks, "claims": rows}
    record.write("cost", figures, given.threads)


if __name__ == "__main__":
    main()
