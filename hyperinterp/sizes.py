"""The sizes of a comparison: one's own, and the presets."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from typing import Any

from hyperinterp.errors import InputRefused
from hyperinterp.ranges import at_least, each, one_of, positive

VARIANTS = ("standardised", "unit_norm", "visible")


@dataclass(frozen=True)
class Sizes:
    """The sizes of every analysis; printed in every report.

    Attributes:
        prompts: held-out passages used at most.
        prompt_tokens: tokens given before generation.
        new_tokens: tokens generated at most.
        window: last generated tokens that are scored.
        context_tokens: tokens of each passage that both models read.
        contexts_per_prompt: next-token decisions per passage for ranks and divergences.
        order_contexts: decisions on which whole orderings of the vocabulary are compared.
        lens_contexts: overridden decisions followed through the depth.
        components: also measure the geometry of attention and MLP outputs.
        variants: geometry variants with intervals, beside the raw one.
        control_prompts: prompts of the generated control arms.
        seeds: seeds of every sampled arm.
        sweep: temperatures of the diversity-over-entropy curve.
        alphas: factors of the static biases; the generated ones beside 0.
        bias_steps: optimiser steps of the fitted static bias.
        patch_prompts: passages read by every stitched model.
        null_draws: random weight changes per block.
        null_blocks: number of blocks that get random changes (the last one always).
        stitched: number of stitched models that write text.
        choices: continuations picked per passage, of the held-out text and of another kind.
        dimension_blocks: blocks beside the last at which new dimensions are replaced; None for all.

    Raises:
        InputRefused: a value outside its range; names it.
    """

    prompts: int | None = 48
    prompt_tokens: int = 32
    new_tokens: int = 96
    window: int = 96
    context_tokens: int = 128
    contexts_per_prompt: int | None = 32
    order_contexts: int = 512
    lens_contexts: int = 96
    components: bool = True
    variants: tuple[str, ...] = VARIANTS
    control_prompts: int = 16
    seeds: int = 2
    sweep: tuple[float, ...] = (0.5, 0.7, 1.15)
    alphas: tuple[float, ...] = (0.5, 1.0)
    bias_steps: int = 60
    patch_prompts: int = 16
    null_draws: int = 3
    null_blocks: int = 4
    stitched: int = 6
    choices: int = 2
    dimension_blocks: int | None = None

    def __post_init__(self) -> None:
        for name, least in (("prompts", 1), ("contexts_per_prompt", 1), ("dimension_blocks", 0)):
            if getattr(self, name) is not None:
                at_least(name, getattr(self, name), least)
        for name in (
            "prompt_tokens", "new_tokens", "window", "order_contexts", "lens_contexts",
            "control_prompts", "seeds", "patch_prompts", "null_draws", "choices",
        ):  # fmt: skip
            at_least(name, getattr(self, name), 1)
        at_least("context_tokens", self.context_tokens, 2)  # one to predict from, one to predict
        for name in ("bias_steps", "null_blocks", "stitched"):
            at_least(name, getattr(self, name), 0)
        for variant in each("variants", self.variants, "names"):
            one_of("variants", variant, VARIANTS)
        for value in each("sweep", self.sweep):
            positive("sweep", value)
        for factor in each("alphas", self.alphas):
            positive("alphas", factor, or_zero=True)


PRESETS: dict[str, Sizes] = {
    "quick": Sizes(
        prompts=24,
        new_tokens=64,
        window=64,
        context_tokens=96,
        contexts_per_prompt=16,
        order_contexts=128,
        lens_contexts=48,
        components=False,
        variants=("standardised", "visible"),
        control_prompts=8,
        seeds=1,
        sweep=(0.7, 1.15),
        alphas=(1.0,),
        bias_steps=30,
        patch_prompts=8,
        null_draws=2,
        null_blocks=1,
        stitched=1,
        choices=1,
        dimension_blocks=4,
    ),
    "default": Sizes(),
    "full": Sizes(
        prompts=None,
        contexts_per_prompt=None,
        order_contexts=2048,
        lens_contexts=256,
        control_prompts=64,
        seeds=5,
        sweep=(0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 1.1, 1.3),
        alphas=(0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0),
        bias_steps=200,
        patch_prompts=64,
        null_draws=8,
        null_blocks=64,
        stitched=16,
        choices=6,
    ),
}
"""The sizes behind `--preset`, by name: `quick`, `default` and `full`."""


def sizes_of(preset: str) -> Sizes:
    """Return the sizes of a preset.

    Raises:
        InputRefused: not `quick`, `default` or `full`.
    """
    if preset not in PRESETS:
        raise InputRefused(f"preset: expected one of {', '.join(PRESETS)}, found {preset!r}")
    return PRESETS[preset]


def with_sizes(sizes: Sizes, given: Mapping[str, Any]) -> Sizes:
    """Return sizes with some of them changed, as a file of options states them.

    Args:
        sizes: of a preset.
        given: those that differ, by name; lists stand for tuples.

    Raises:
        InputRefused: an unknown name, or a value out of its range.
    """
    names = [item.name for item in fields(Sizes)]
    for name in map(str, given):
        if name not in names:
            near = get_close_matches(name, names, 1)
            way_out = f"write {near[0]}" if near else "leave it out"
            raise InputRefused(f"sizes: expected the name of a size, found {name!r:.60}; {way_out}")
    plain = {name: tuple(it) if isinstance(it, list) else it for name, it in given.items()}
    return replace(sizes, **plain)
