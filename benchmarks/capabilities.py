"""What one family is put through: every capability against an independent computation."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft import PeftModel
from torch import Tensor
from transformers import AutoModelForCausalLM

import hyperinterp
from hyperinterp.capture import run_pair
from hyperinterp.checkpoints import save_checkpoint
from hyperinterp.models import Component, ComponentKind, HookedModel, blocks, patched, paths_of
from hyperinterp.models.checks import self_check
from hyperinterp.report.schema import Report
from hyperinterp.sites import Site, SiteKind, block_outputs
from hyperinterp.sizes import Sizes
from hyperinterp.text import Passage, Passages, tokenise
from hyperinterp.training import TrainConfig
from tests.hyperinterp.families import make_hf, word_tokenizer

SIZES = Sizes(
    prompts=8, prompt_tokens=4, new_tokens=18, window=18, context_tokens=12,
    contexts_per_prompt=4, order_contexts=8, lens_contexts=4, components=True,
    variants=("standardised",), control_prompts=2, seeds=1, sweep=(), alphas=(1.0,),
    bias_steps=3, patch_prompts=4, null_draws=1, null_blocks=1, stitched=1,
)  # fmt: skip
RECIPE = {
    "max_steps": 3,
    "epochs": 9,
    "batch_size": 4,
    "seq_len": 12,
    "rank": 4,
    "blocks": "last:2",
}


@dataclass
class Bench:
    """One family: two saved models, loaded by name, and token ids.

    Attributes:
        folder: where the models lie.
        base: the first, as `hyperinterp.load` gives it.
        donor: the second, with other weights everywhere.
        plain: the first, as plain transformers gives it.
        ids: token ids [3, 12].
    """

    folder: Path
    base: HookedModel
    donor: HookedModel
    plain: Any
    ids: Tensor


def apart(found: Any, expected: Any) -> float:
    """Largest deviation as a share of the largest expected value."""
    a, b = (torch.as_tensor(x).detach().double() for x in (found, expected))
    if a.shape != b.shape:
        raise AssertionError(f"shapes {tuple(a.shape)} and {tuple(b.shape)}")
    return float((a - b).abs().max() / b.abs().max().clamp_min(1e-12))


@torch.no_grad()
def plain_logits(model: Any, ids: Tensor) -> Tensor:
    """Logits of a transformers or peft model."""
    return model(input_ids=ids, use_cache=False).logits


def passages(count: int, seed: int) -> Passages:
    """Random words, 12 tokens each."""
    draw = np.random.default_rng(seed)
    texts = [" ".join(f"w{n}" for n in draw.integers(3, 84, 12)) for _ in range(count)]
    return Passages(tuple(Passage(str(n), text) for n, text in enumerate(texts)), "random words")


def start(name: str, folder: Path) -> Bench:
    """Make, save and load both models."""
    found = []
    for role, seed in (("base", 0), ("donor", 1)):
        save_checkpoint(make_hf(name, seed), word_tokenizer(), folder / role, provenance={})
        found.append(hyperinterp.load(folder / role, device="cpu"))
    plain = AutoModelForCausalLM.from_pretrained(folder / "base", dtype=torch.float32).eval()
    ids = torch.randint(3, 90, (3, 12), generator=torch.Generator().manual_seed(5))
    return Bench(folder, found[0], found[1], plain, ids)


def load(bench: Bench) -> float:
    """Logits of the loaded model against plain `from_pretrained`."""
    return apart(bench.base.logits(bench.ids), plain_logits(bench.plain, bench.ids))


def hooked(bench: Bench) -> float:
    """Backbone with hooks at every site, then the readout, against plain transformers."""
    sites = [*block_outputs(bench.base.n_layers), Site(SiteKind.FINAL_NORM)]
    final = bench.base.run(bench.ids, sites, lambda _site, _tensor: None)
    return apart(bench.base.readout(final), plain_logits(bench.plain, bench.ids))


def residual(bench: Bench) -> float:
    """Stream + attention + MLP against the next stream, the worst block."""
    return self_check(bench.base).residual


def lens(bench: Bench) -> float:
    """Lens at the last block against the plain logits."""
    last = Site(SiteKind.RESID, bench.base.n_layers - 1)
    stream = bench.base.activations(bench.ids, [last])[last]
    return apart(bench.base.lens(stream), plain_logits(bench.plain, bench.ids))


@torch.no_grad()
def replay(bench: Bench) -> float:
    """Logits after replaying from every block against the plain logits, the worst start."""
    recording, expected = bench.base.record(bench.ids), plain_logits(bench.plain, bench.ids)
    streams = [bench.base.replay(recording, first) for first in range(bench.base.n_layers)]
    return max(apart(bench.base.lens(stream), expected) for stream in streams)


def _surgery(bench: Bench, components: tuple[Component, ...]) -> tuple[Tensor, Tensor]:
    """Logits of a patch by suffix replay, and of a plain copy with the donor's weights."""
    first = min(component.layer or 0 for component in components)
    recording = bench.base.record(bench.ids, keep=[first])
    with patched(bench.base, bench.donor, components), torch.no_grad():
        found = bench.base.lens(bench.base.replay(recording, first))
    stitched = copy.deepcopy(bench.plain)
    for path in (path for component in components for path in paths_of(bench.base, component)):
        theirs = bench.donor.hf.get_submodule(path)
        stitched.get_submodule(path).load_state_dict(theirs.state_dict())
    return found, plain_logits(stitched, bench.ids)


def patching(bench: Bench) -> float:
    """Donor's blocks, attention and MLP, one by one and together, against direct surgery."""
    layers = range(bench.base.n_layers)
    kinds = (ComponentKind.BLOCK, ComponentKind.ATTN, ComponentKind.MLP)
    chosen = [(Component(kind, layer),) for kind in kinds for layer in layers]
    return max(apart(*_surgery(bench, components)) for components in [*chosen, blocks(layers)])


@torch.no_grad()
def itself(bench: Bench) -> float:
    """A patch from an equal donor: nothing may change."""
    twin = HookedModel(copy.deepcopy(bench.base.hf))
    before = bench.base.logits(bench.ids)
    with patched(bench.base, twin, blocks(range(bench.base.n_layers))):
        return apart(bench.base.logits(bench.ids), before)


def capture(bench: Bench) -> float:
    """Streamed mean and covariance at every block against numpy on plain forward hooks."""
    rows = tokenise(word_tokenizer(), passages(8, 3), 12)
    sites = block_outputs(bench.base.n_layers)
    found = run_pair(bench.base, bench.donor, rows, sites=sites, batch_size=3).sites
    kept: dict[int, Tensor] = {}

    def keep(layer: int) -> Callable[..., None]:
        def hook(_module: Any, _given: Any, output: Any) -> None:
            kept[layer] = output if isinstance(output, Tensor) else output[0]

        return hook

    modules = bench.plain.get_submodule(bench.base.anatomy.blocks)
    handles = [m.register_forward_hook(keep(layer)) for layer, m in enumerate(modules)]
    plain_logits(bench.plain, torch.tensor(rows.rows))
    for handle in handles:
        handle.remove()
    worst = 0.0
    for site in sites:
        expected = kept[site.layer or 0][:, 1:].flatten(0, 1).double().numpy()
        moments = found[site].moments["base"]
        worst = max(worst, apart(moments.mean, expected.mean(0)))
        worst = max(worst, apart(moments.covariance(), np.cov(expected.T, bias=True)))
    return worst


def trained(bench: Bench, method: str, **options: Any) -> float:
    """Three steps; the result in plain transformers or peft against `hyperinterp.load`."""
    out = bench.folder / f"{method}{len(options)}"
    config = TrainConfig(method=method, **RECIPE, **options)
    hyperinterp.train(bench.folder / "base", passages(8, 4), out, config, device="cpu")
    ours = hyperinterp.load(out, device="cpu").logits(bench.ids)
    if config.uses_lora:
        theirs = PeftModel.from_pretrained(copy.deepcopy(bench.plain), out).eval()
    else:
        theirs = AutoModelForCausalLM.from_pretrained(out, dtype=torch.float32).eval()
    if apart(ours, plain_logits(bench.plain, bench.ids)) < 1e-4:
        raise AssertionError(f"{method}: training changed nothing")
    return apart(ours, plain_logits(theirs, bench.ids))


def compare(bench: Bench) -> float:
    """C1, C4, C5 and C6: the effects with batches of 2 rows against batches of 8."""

    def run(batch_size: int) -> Report:
        return hyperinterp.compare(
            bench.base, bench.donor, prompts=passages(8, 6), claims="C1,C4,C5,C6",
            sizes=SIZES, batch_size=batch_size,
        )  # fmt: skip

    first, second = run(2).claims, run(8).claims
    judged = [name for name, claim in first.items() if claim.effect is not None]
    verdicts = [[str(claims[name].verdict) for name in judged] for claims in (first, second)]
    if not {"C4", "C5", "C6"} <= {*judged} or verdicts[0] != verdicts[1]:
        raise AssertionError(f"verdicts of {judged}: {verdicts}")
    return max(abs((first[n].effect or 0) - (second[n].effect or 0)) for n in judged)


CAPABILITIES: dict[str, Callable[[Bench], float]] = {
    "load": load,
    "hooks": hooked,
    "residual": residual,
    "lens": lens,
    "replay": replay,
    "patching": patching,
    "equal donor": itself,
    "capture": capture,
    "full": lambda bench: trained(bench, "full"),
    "lora": lambda bench: trained(bench, "lora"),
    "late-stage": lambda bench: trained(bench, "late-stage"),
    "late-stage, weights": lambda bench: trained(bench, "late-stage", late_stage_weights=True),
    "compare": compare,
}

SHORTER = [name for name in CAPABILITIES if name not in ("full", "lora", "compare")]
"""What the newer families are put through."""
