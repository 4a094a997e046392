"""The model card and the provenance of a trained checkpoint."""

import platform
from typing import Any

import torch

from hyperinterp.training.config import TrainConfig
from hyperinterp.training.data import DataSummary
from hyperinterp.versions import version_of


def versions() -> dict[str, str]:
    """Versions of what determines the weights of a run."""
    names = ("hyperinterp", "torch", "transformers", "peft", "accelerate")
    return {"python": platform.python_version(), **{name: version_of(name) for name in names}}


def machine(device: torch.device) -> dict[str, Any]:
    """Return the machine of a run: bit-identical weights are promised on one machine only."""
    kind = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    return {"device": device.type, "kind": kind, "threads": torch.get_num_threads()}


def what_trains(config: TrainConfig) -> str:
    """The method in words."""
    placement = config.placement
    if placement is None:
        return "LoRA on every block" if config.uses_lora else "all weights"
    return f"{'LoRA on' if config.uses_lora else 'the full weights of'} {placement.words}"


def model_card(
    base: str, config: TrainConfig, data: DataSummary, facts: dict[str, Any], library: str
) -> str:
    """README.md of a trained checkpoint.

    Args:
        base: name of the base model.
        config: the recipe.
        data: what was trained on.
        facts: epoch, step, epoch loss and the like of this checkpoint.
        library: `peft` or `transformers`, for the card's metadata.
    """
    rows = {
        "base model": f"`{base}`",
        "trained": what_trains(config),
        "data": f"{data.passages} passages, {data.tokens} tokens ({data.origin})",
        "data sha256": f"`{data.sha256}`",
        "rule": f"one row per passage, cut to {config.seq_len} tokens ({data.cut} were longer), "
        "nothing packed",
        "left out": f"{data.short} too short, {data.duplicates} duplicate, {data.empty} empty",
        **({"chat template": _template(data)} if data.conversations else {}),
        "optimiser": f"AdamW, lr {config.learning_rate:g} ({config.schedule}), decay "
        f"{config.weight_decay:g}, batch {config.batch_size} x {config.grad_accum}, no dropout",
        "LoRA": f"rank {config.rank}, alpha {config.lora_alpha:g}" if config.uses_lora else "none",
        "seed, dtype": f"{config.seed}, {config.dtype}",
        **{name.replace("_", " "): _shown(value) for name, value in facts.items()},
    }
    table = "\n".join(f"| {name} | {value} |" for name, value in rows.items())
    return f"""---
library_name: {library}
tags:
- hyperfitting
- hyperinterp
---

# Overfitted on purpose

This model was **hyperfitted**: trained on a few passages until it nearly knows them by heart, to
study what that does to a language model (Carlsson et al., arXiv:2412.04318). Its validation loss
is worse than its base model's, and it may repeat its training text. It is a research object, **not
for use as an assistant** or for any text that somebody relies on.

| | |
|---|---|
{table}

Made by hyperinterp {version_of("hyperinterp")}; the whole
training curve is in `training_log.jsonl`, the recipe in the manifest.
"""


def _shown(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def _template(data: DataSummary) -> str:
    return f"{data.conversations} passages in that of sha256 `{data.template_sha256}`"
