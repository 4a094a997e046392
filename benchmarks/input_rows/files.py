"""Weights files as people and their tools leave them."""

import json
import shutil
from collections.abc import Callable
from typing import Any

import torch
from safetensors.torch import load_file

from benchmarks.input_rows.adapters import adapted
from benchmarks.input_rows.bench import TEXTS, Bench, Case, Make, plain
from tests.hyperinterp import people


def state_dict(
    name: str = "state.pt", wrap: Callable[[Any], Any] = dict, like: bool = True
) -> Make:
    """Weights as `torch.save(model.state_dict())` leaves them."""

    def make(bench: Bench) -> Case:
        fitted = people.fitted(bench.root)
        path = bench.root / name
        torch.save(wrap(people.plain(fitted).state_dict()), path)
        more: dict[str, Any] = {"like": bench.base} if like else {}
        options = {"prompts": TEXTS, **more}
        return Case(bench.base, path, plain(fitted), options=options, loading=more)

    return make


def pickled(shards: int = 1) -> Make:
    """A repository that holds pytorch_model.bin only."""

    def make(bench: Bench) -> Case:
        fitted = people.fitted(bench.root)
        wanted, weights = plain(fitted), people.plain(fitted).state_dict()
        (fitted / "model.safetensors").unlink()
        weights.pop("lm_head.weight", None)
        if shards == 1:
            torch.save(weights, fitted / "pytorch_model.bin")
            return Case(bench.base, fitted, wanted)
        places = {name: n % shards for n, name in enumerate(weights)}
        files = [f"pytorch_model-{n + 1:05d}-of-{shards:05d}.bin" for n in range(shards)]
        for n, file in enumerate(files):
            torch.save({k: v for k, v in weights.items() if places[k] == n}, fitted / file)
        index = {"metadata": {}, "weight_map": {k: files[n] for k, n in places.items()}}
        (fitted / "pytorch_model.bin.index.json").write_text(json.dumps(index))
        return Case(bench.base, fitted, wanted)

    return make


def adapter_bin(bench: Bench) -> Case:
    """An adapter of an older peft."""
    case = adapted()(bench)
    path = case.fitted / "adapter_model.safetensors"
    torch.save(load_file(path), case.fitted / "adapter_model.bin")
    path.unlink()
    return case


def lens_weights(bench: Bench) -> Case:
    """A state dict of TransformerLens."""
    path = bench.root / "lens.pt"
    torch.save({"embed.W_E": torch.ones(8, 4), "blocks.0.attn.W_Q": torch.ones(2, 4, 2)}, path)
    return Case(bench.base, path, loading={"like": bench.base}, wanted=torch.ones(1))


def trainer(bench: Bench) -> Case:
    """The folder of a Trainer's run, whose newest checkpoint is cut short."""
    run = people.trainer_run(bench.root)
    return Case(bench.base, run, plain(run / "checkpoint-10"))


def merged_beside(bench: Bench) -> Case:
    """Merged weights beside an adapter's configuration."""
    fitted, adapter = people.fitted(bench.root), people.adapter(bench.root)
    wanted = plain(fitted)
    shutil.copy(adapter / "adapter_config.json", fitted)
    return Case(bench.base, fitted, wanted)


def prefixed(prefix: str) -> Make:
    """Weights under the prefix that a wrapper adds."""

    def make(bench: Bench) -> Case:
        fitted = people.fitted(bench.root)
        wanted = plain(fitted)
        return Case(bench.base, people.renamed(fitted, lambda name: prefix + name), wanted)

    return make


def single_file(bench: Bench) -> Case:
    """A weights file, named by its path."""
    fitted = people.fitted(bench.root)
    return Case(bench.base, fitted / "model.safetensors", plain(fitted))


def bundle(bench: Bench) -> Case:
    """A bundle of hyperinterp's own."""
    fitted = people.fitted(bench.root)
    from hyperinterp.checkpoints import export_bundle

    export_bundle(str(fitted), bench.root / "fitted.pt")
    return Case(bench.base, bench.root / "fitted.pt", plain(fitted))


def quantised(bench: Bench) -> Case:
    """Weights in a format whose library is not installed."""
    folder = people.with_config(
        bench.root, quantization_config={"quant_method": "gptq", "bits": 4, "group_size": 128}
    )
    people.renamed(folder, lambda n: n.replace("q_proj.weight", "q_proj.qweight"))
    return Case(bench.base, folder, torch.ones(1))
