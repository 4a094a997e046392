"""Checkpoints as people and their tools leave them."""

import warnings

import torch
from torch import nn

from benchmarks.input_rows.adapters import adapted, other_revision, two_adapters
from benchmarks.input_rows.bench import Bench, Case, Make, plain
from benchmarks.input_rows.files import (
    adapter_bin,
    bundle,
    lens_weights,
    merged_beside,
    pickled,
    prefixed,
    quantised,
    single_file,
    state_dict,
    trainer,
)
from tests.hyperinterp import people
from tests.hyperinterp.training.factory import byte_tokenizer, tiny_hf


def configured(file: str = "config.json", **changes: object) -> Make:
    """A checkpoint whose configuration another tool has written to."""

    def make(bench: Bench) -> Case:
        wanted = plain(people.fitted(bench.root))
        return Case(bench.base, people.with_config(bench.root, file, **changes), wanted)

    return make


def hub(*, shared: bool, suffix: str = "") -> Make:
    """Ids of a Hub cache."""

    def make(bench: Bench) -> Case:
        fitted = people.fitted(bench.root)
        names = {"me/base": bench.base, "me/fitted": fitted}
        bench.use_cache(people.hub_cache(bench.root / "hub-home", names, shared=shared))
        return Case("me/base", f"me/fitted{suffix}", plain(fitted))

    return make


def link_outside(bench: Bench) -> Case:
    """A Hub cache of which one link leads elsewhere."""
    case = hub(shared=False)(bench)
    (weights,) = (bench.root / "hub-home").rglob("models--me--fitted/snapshots/*/model.safetensors")
    weights.unlink()
    weights.symlink_to(bench.root / "fitted" / "model.safetensors")
    return case


def vocabulary(base_rows: int, fitted_rows: int, *, swapped: bool = False) -> Make:
    """A pad token added for fine-tuning, in a grown embedding or in spare rows."""

    def make(bench: Bench) -> Case:
        tokenizer = byte_tokenizer()
        first, second = tiny_hf("llama"), people.nudged(tiny_hf("llama"))
        for model, rows in ((first, base_rows), (second, fitted_rows)):
            with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model.resize_token_embeddings(rows)
        first.save_pretrained(bench.root / "small")
        tokenizer.save_pretrained(bench.root / "small")
        while len(tokenizer) < 261:
            tokenizer.add_special_tokens({"additional_special_tokens": [f"<new{len(tokenizer)}>"]})
        second.save_pretrained(bench.root / "grown")
        tokenizer.save_pretrained(bench.root / "grown")
        pair = [bench.root / "small", bench.root / "grown"]
        pair = pair[::-1] if swapped else pair
        return Case(*pair, wanted=plain(pair[1]))

    return make


def without_tokenizer(bench: Bench) -> Case:
    """A base that was saved without its tokenizer."""
    base = people.saved(tiny_hf("llama"), bench.root / "bare", tokenizer=False)
    fitted = people.fitted(bench.root)
    return Case(base, fitted, plain(fitted))


def setting(**changes: object) -> Make:
    """Equal weights under other settings."""

    def make(bench: Bench) -> Case:
        folder = people.base(bench.root / "other")
        people.edit(folder / "config.json", **changes)
        return Case(bench.base, folder, plain(folder))

    return make


def wider(bench: Bench) -> Case:
    """Another width of the MLP."""
    model = tiny_hf("llama")
    for block in model.model.layers:
        block.mlp.gate_proj, block.mlp.up_proj = (nn.Linear(32, 64, bias=False) for _ in range(2))
        block.mlp.down_proj = nn.Linear(64, 32, bias=False)
    model.config.intermediate_size = 64
    folder = people.saved(model, bench.root / "wider")
    return Case(bench.base, folder, plain(folder))


CHECKPOINTS: dict[str, Make] = {
    "Hub id, weights in the store that repositories share": hub(shared=True),
    "Hub id, blobs in the repository's own folder": hub(shared=False),
    "Hub id with a revision (`me/fitted@v1`)": hub(shared=True, suffix="@v1"),
    "Hub id, a link that leaves the cache": link_outside,
    "config.json with `cache_implementation`": configured(cache_implementation="hybrid"),
    "config.json with `_attn_implementation_autoset`": configured(
        _attn_implementation_autoset=True
    ),
    "config.json with `auto_map`, a family that is known": configured(
        auto_map={"AutoModelForCausalLM": "modeling_llama.LlamaForCausalLM"}
    ),
    "config.json of a family that is not known": configured(model_type="made_up"),
    "config.json that names a kernel repository": configured(
        _attn_implementation="kernels-community/flash-attn3"
    ),
    "config.json of Unsloth": configured(unsloth_version="2025.1", unsloth_fixed=True),
    "adapter": adapted(),
    "adapter without `task_type`": adapted(task_type=None),
    "adapter with a pattern of targets": adapted(
        target_modules=r".*layers\.\d+\.(self_attn|mlp)\.(q|v|up|down)_proj"
    ),
    "adapter with trained tokens": adapted(trainable_token_indices={"embed_tokens": [5, 6]}),
    "adapter with DoRA": adapted(use_dora=True),
    "adapter that names another base and revision": other_revision,
    "adapter against adapter": two_adapters,
    "adapter_model.bin": adapter_bin,
    "one pad token added, embedding grown": vocabulary(260, 261),
    "one pad token added, base and fitted the other way round": vocabulary(260, 261, swapped=True),
    "one pad token added, in a spare row": vocabulary(272, 272),
    "base without tokenizer files": without_tokenizer,
    "equal weights, other rotary base": setting(
        rope_parameters={"rope_theta": 50.0, "rope_type": "default"}
    ),
    "equal weights, other number of heads": setting(
        num_attention_heads=2, num_key_value_heads=1, head_dim=16
    ),
    "another MLP width": wider,
    "state dict (`.pt`) with `--like`": state_dict(),
    "state dict inside a dict": state_dict(wrap=lambda w: {"model": dict(w), "step": 3}),
    "state dict named `.pth`": state_dict("state.pth"),
    "state dict without `--like`": state_dict(like=False),
    "state dict of TransformerLens": lens_weights,
    "pytorch_model.bin": pickled(),
    "pytorch_model.bin in shards": pickled(3),
    "folder of a Trainer's run": trainer,
    "merged weights beside an adapter's configuration": merged_beside,
    "weights of `torch.compile` (`_orig_mod.`)": prefixed("_orig_mod."),
    "weights of DDP (`module.`)": prefixed("module."),
    "a `.safetensors` file beside its config": single_file,
    "hyperinterp bundle": bundle,
    "GPTQ, its library not installed": quantised,
}
