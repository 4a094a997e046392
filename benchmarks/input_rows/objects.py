"""Models in memory, as people hold them."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

import hyperinterp as hi
from benchmarks.input_rows.bench import TEXTS, Bench, Case, Make, plain
from tests.hyperinterp import people
from tests.hyperinterp.training.factory import byte_tokenizer


def held(change: Callable[[Any], Any] = lambda model: model) -> Make:
    """A model in memory, after a change by its owner."""

    def make(bench: Bench) -> Case:
        folder = people.fitted(bench.root)
        given = change(people.plain(folder))
        options = {"prompts": TEXTS}
        base = hi.load(bench.base, device="cpu")
        return Case(base, given, plain(folder), options=options)

    return make


def live_adapter(bench: Bench) -> Case:
    """A PeftModel."""
    folder = people.adapter(bench.root)
    model = people.plain(bench.base, folder)
    return Case(hi.load(bench.base, device="cpu"), model, people.logits(model))


def bridged(model: Any, *, compatible: bool = False) -> Any:
    """A TransformerBridge over the model."""
    from transformer_lens.model_bridge.sources import build_bridge_from_module

    bridge: Any = build_bridge_from_module(
        model, type(model).__name__, hf_config=model.config, tokenizer=None, device="cpu"
    )
    if compatible:
        bridge.enable_compatibility_mode()
    return bridge


def nnsight_model(model: Any) -> Any:
    """An nnsight LanguageModel around the model."""
    from nnsight import LanguageModel

    return LanguageModel(model, tokenizer=byte_tokenizer())


class StandardizedTransformer:
    """As nnterp holds its model."""

    def __init__(self, model: Any) -> None:
        self._model, self.tokenizer = model, byte_tokenizer()


StandardizedTransformer.__module__ = "nnterp.standardized_transformer"


def with_hook(model: Any) -> Any:
    """A model with a hook of its owner."""
    model.model.layers[0].register_forward_hook(lambda *_: None)
    return model


def in_float64(bench: Bench) -> Case:
    """A session whose default dtype is float64."""
    case = held()(bench)
    bench.callback(torch.set_default_dtype, torch.get_default_dtype())
    torch.set_default_dtype(torch.float64)
    return case


OBJECTS: dict[str, Make] = {
    "PreTrainedModel": held(),
    "PeftModel, live LoRA": live_adapter,
    "TransformerBridge": held(bridged),
    "TransformerBridge in compatibility mode": held(lambda m: bridged(m, compatible=True)),
    "nnsight LanguageModel": held(nnsight_model),
    "nnterp StandardizedTransformer": held(StandardizedTransformer),
    "HookedModel": held(lambda model: hi.HookedModel(model, byte_tokenizer())),
    "compiled (`torch.compile`)": held(torch.compile),
    "DataParallel": held(nn.DataParallel),
    "in training mode": held(lambda model: model.train()),
    "with hooks of its owner": held(with_hook),
    "default dtype float64": in_float64,
    "a tokenizer": held(lambda _: byte_tokenizer()),
}
