"""LoRA layers on a base model: put exactly where the stored tensors are, filled, and merged."""

from collections.abc import Mapping
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model_state_dict, set_peft_model_state_dict
from torch import nn
from transformers import PreTrainedModel

from hyperinterp.checkpoints.adapters import adapted_modules, how_to_merge, is_plain, shown
from hyperinterp.checkpoints.screen import one_line
from hyperinterp.checkpoints.staging import Stored
from hyperinterp.checkpoints.tensorfile import StoredTensor
from hyperinterp.errors import InputRefused, MismatchedPair

_FOR_PEFT = (
    "trainable_token_indices", "modules_to_save", "fan_in_fan_out", "bias", "lora_bias",
    "use_dora", "use_rslora", "ensure_weight_tying",
)  # fmt: skip


def attach_adapter(
    model: PreTrainedModel, adapter: Mapping[str, Any], stored: Stored, what: str
) -> PeftModel:
    """Put LoRA layers into `model` (in place) and fill them from the staged adapter file.

    Raises:
        MismatchedPair: The adapter's tensors do not fit the base (names or shapes).
    """
    _refuse_incomplete(model, adapter, stored.tensors, what)
    settings = for_peft(adapter, stored.tensors, what)
    if adapter.get("lora_bias"):
        _give_biases(model, adapted_modules(stored.tensors))
    try:
        peft_model = PeftModel(model, LoraConfig(**settings), autocast_adapter_dtype=False)
    except ValueError as error:
        raise MismatchedPair(
            f"{what}: does not fit the base model: {one_line(error)}; name the base that it was "
            "trained on"
        ) from error
    expected = get_peft_model_state_dict(peft_model, save_embedding_layers=False)
    shapes = {name: tuple(tensor.shape) for name, tensor in expected.items()}
    _compare_shapes(shapes, _embeddings(peft_model), stored, what)
    set_peft_model_state_dict(peft_model, stored.load())
    return peft_model.eval()


def _refuse_incomplete(
    model: PreTrainedModel,
    adapter: Mapping[str, Any],
    tensors: Mapping[str, StoredTensor],
    what: str,
) -> None:
    """Refuse a file without tensors for a module that the settings name plainly."""
    targets, layers = adapter.get("target_modules"), adapter.get("layers_to_transform")
    patterns = adapter.get("exclude_modules") or adapter.get("layers_pattern")
    if not isinstance(targets, list) or not all(map(is_plain, targets)) or patterns:
        return
    wanted = {layers} if isinstance(layers, int) else set(layers or ())
    ends = tuple(f".{target}" for target in targets)
    adapted, lacking = adapted_modules(tensors), []
    for path, module in model.named_modules():
        if not f".{path}".endswith(ends) or getattr(module, "weight", None) is None:
            continue
        index = next((int(part) for part in path.split(".") if part.isdigit()), None)
        if path not in adapted and (not wanted or index in wanted):
            lacking.append(path)
    if lacking:
        raise MismatchedPair(
            f"{what}: the adapter lacks tensors for {len(lacking)} modules that its settings name, "
            f"e.g. {lacking[0]}; name the base that it was trained on, or copy the file anew"
        )


@torch.no_grad()
def _give_biases(model: PreTrainedModel, paths: Mapping[str, int]) -> None:
    """Let linear maps have a bias of zero, into which an adapter's own can be merged."""
    for path in paths:
        module = model.get_submodule(path)
        if isinstance(module, nn.Linear) and module.bias is None:
            module.bias = nn.Parameter(module.weight.new_zeros(module.out_features))


def _embeddings(peft_model: PeftModel) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the base's embeddings, which peft stores beside an adapter of them."""
    loose: Any = peft_model
    wanted = [loose.get_input_embeddings(), loose.get_output_embeddings()]
    ids = {id(p) for module in wanted if module is not None for p in module.parameters()}
    return {
        name: tuple(parameter.shape)
        for name, parameter in peft_model.named_parameters(remove_duplicate=False)
        if id(parameter) in ids
    }


def _compare_shapes(
    expected: Mapping[str, tuple[int, ...]],
    spare: Mapping[str, tuple[int, ...]],
    stored: Stored,
    what: str,
) -> None:
    found = {name: tensor.shape for name, tensor in stored.tensors.items()}
    for verb, names in (
        ("lacks", sorted(set(expected) - set(found))),
        ("has no place for", sorted(set(found) - set(expected) - set(spare))),
    ):
        if names:
            subject = "the adapter" if verb == "lacks" else "the base"
            raise MismatchedPair(
                f"{what}: {subject} {verb} {len(names)} adapter tensors, e.g. {names[0]}; name the "
                "base that it was trained on"
            )
    for name in sorted(found):
        shape = expected.get(name, spare.get(name))
        if shape != found[name]:
            raise MismatchedPair(
                f"{what}: {name} has shape {list(found[name])}, the base needs {list(shape or ())};"
                f" name the base that it was trained on, or {how_to_merge()}"
            )


def merged(peft_model: PeftModel) -> PreTrainedModel:
    """Return the base model with the update added to its weights, and no trace of peft.

    Where the base ties its embeddings and the adapter changes one of them, they come apart, as
    they are with live layers.
    """
    loose: Any = peft_model
    ends = [loose.get_input_embeddings(), loose.get_output_embeddings()]
    adapted = any(type(end) not in (nn.Embedding, nn.Linear) for end in ends if end is not None)
    if adapted and None not in ends and _weight(ends[0]) is _weight(ends[1]):
        _inner(ends[1]).weight = nn.Parameter(_weight(ends[1]).detach().clone())
    model: Any = loose.merge_and_unload()
    for leftover in ("peft_config", "_hf_peft_config_loaded"):
        model.__dict__.pop(leftover, None)
    if adapted and getattr(model.config, "tie_word_embeddings", False):
        _settle_tie(model)
    return model


def _settle_tie(model: Any) -> None:
    first, second = model.get_input_embeddings(), model.get_output_embeddings()
    if torch.equal(first.weight, second.weight):
        second.weight = first.weight
        return
    for config in (model.config, model.config.get_text_config()):
        config.tie_word_embeddings = False
    model.all_tied_weights_keys = {}


def _inner(module: Any) -> Any:
    """The base's own layer behind what peft wraps around it."""
    for name in ("base_layer", "original_module", "base_layer"):
        module = getattr(module, name, module)
    return module


def _weight(module: Any) -> Any:
    return _inner(module).weight


def for_peft(
    config: Mapping[str, Any], tensors: Mapping[str, StoredTensor], what: str
) -> dict[str, Any]:
    """Arguments of `LoraConfig` that put layers exactly where the stored tensors are.

    Raises:
        MismatchedPair: A stored rank is none that the configuration gives.
        InputRefused: The scale of a module hangs on a pattern, or there are no LoRA tensors.
    """
    kept = {key: config[key] for key in _FOR_PEFT if key in config}
    kept |= {"task_type": "CAUSAL_LM", "init_lora_weights": True, "inference_mode": True}
    rank, alpha = int(config["r"]), float(config.get("lora_alpha", 8))
    kept |= {"r": rank, "lora_alpha": alpha}
    if config.get("target_parameters"):
        return kept | _as_written(config, what)
    modules = adapted_modules(tensors)
    if not modules:
        raise InputRefused(f"{what}: expected LoRA tensors in it, found none; {how_to_merge()}")
    ranks, alphas = config.get("rank_pattern") or {}, config.get("alpha_pattern") or {}
    for path, found in modules.items():
        expected = _ranks(ranks, path, rank)
        if found not in expected:
            wanted = " or ".join(map(str, sorted(expected)))
            raise MismatchedPair(
                f"{what}: the tensors of {path} have rank {found}, its adapter_config.json says "
                f"{wanted}; put the two files of one adapter together"
            )
    scales = {path: _alpha(alphas, path, alpha, what) for path in modules}
    return kept | {
        "target_modules": list(modules),
        "rank_pattern": {path: found for path, found in modules.items() if found != rank},
        "alpha_pattern": {path: found for path, found in scales.items() if found != alpha},
    }


def _as_written(config: Mapping[str, Any], what: str) -> dict[str, Any]:
    """Plain settings of an adapter on parameters, whose stored names do not say which."""
    keys = ("target_modules", "target_parameters", "exclude_modules", "layers_to_transform",
            "layers_pattern", "rank_pattern", "alpha_pattern")  # fmt: skip
    kept = {key: config[key] for key in keys if config.get(key)}
    for key, value in kept.items():
        items = [] if key == "layers_to_transform" else [value] if isinstance(value, str) else value
        if not all(map(is_plain, items)) and value != "all-linear":
            raise InputRefused(
                f"{what}: adapts parameters with the pattern {key} = {shown(value)}, which is "
                f"never run; {how_to_merge()}"
            )
    return kept


def _plain_key(key: str) -> tuple[str, bool] | None:
    """A pattern's key as a plain name, and whether it is the whole path; None if it is more."""
    name = key.removeprefix("^").removesuffix("$").replace("\\.", ".")
    return (name, key.startswith("^")) if is_plain(name) else None


def _fits(key: str, path: str) -> bool | None:
    """Return whether a plain key of a pattern means a module; None where only a run would tell."""
    plain = _plain_key(key)
    if plain is None:
        return None
    name, whole = plain
    return path == name or (not whole and path.endswith(f".{name}"))


def _ranks(pattern: Mapping[str, int], path: str, default: int) -> set[int]:
    unsure = set()
    for key, value in pattern.items():
        fits = _fits(key, path)
        if fits:
            return unsure | {value}
        if fits is None:
            unsure.add(value)
    return unsure | {default}


def _alpha(pattern: Mapping[str, int | float], path: str, default: float, what: str) -> float:
    for key, value in pattern.items():
        fits = _fits(key, path)
        if fits is None:
            raise InputRefused(
                f"{what}: the scale of {path} hangs on the pattern {shown(key)} in alpha_pattern, "
                f"which is never run; {how_to_merge()}"
            )
        if fits:
            return float(value)
    return default
