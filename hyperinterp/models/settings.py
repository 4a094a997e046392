"""Settings outside the weights: those of two models compared, and what carries each of them.

A setting that is in neither list below is taken to act in every component: a difference that does
nothing costs time, one that is passed over makes a figure wrong.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from hyperinterp.models.components import ComponentKind
from hyperinterp.models.hooked import HookedModel
from hyperinterp.models.placement import weights_of
from hyperinterp.models.positions import rope_types


class Acts(Enum):
    """The place where a setting acts: its name, and the kinds of component that carry it."""

    ATTENTION = ("block and attention", (ComponentKind.BLOCK, ComponentKind.ATTN))
    MLP = ("block and MLP", (ComponentKind.BLOCK, ComponentKind.MLP))
    BLOCK = ("block", (ComponentKind.BLOCK,))
    NORM = (
        "block, attention and final norm",
        (ComponentKind.BLOCK, ComponentKind.ATTN, ComponentKind.FINAL_NORM),
    )
    READOUT = ("unembedding", (ComponentKind.UNEMBED,))
    EMBEDDING = ("no component: it acts before the first block", ())
    LIMIT = ("no component: it sets the longest text only", ())
    TEXTS = (
        "no component: both models read the base's tokens, and the ends of either end a text",
        (),
    )
    UNKNOWN = ("every component, as it is not known where it acts", tuple(ComponentKind))
    REFUSED = ("nothing", ())

    @property
    def carried(self) -> str:
        """Words for what takes the setting along when it is exchanged."""
        return self.value[0]

    @property
    def kinds(self) -> tuple[ComponentKind, ...]:
        """The kinds of component whose function the setting belongs to."""
        return self.value[1]


_IDLE = re.compile(
    r"^_|name_or_path|architectures|dtype|version|auto_map|model_type|use_cache|^output_|"
    r"return_dict|label|problem_type|task|finetuning|initializ|init_std|^init_|dropout|pdrop|"
    r"layerdrop|drop_rate|drop_prob|^summary_|tokenizer_class|^prefix$|aux_loss|z_loss|"
    r"chunk_size_feed|gradient_checkpointing|pretraining_tp|cache_implementation|pad_token_id|"
    r"sep_token_id|cls_token_id|mask_token_id|decoder_start|forced_|quantization_config|unsloth|"
    r"^vocab_size$|torchscript|is_decoder|cross_attention|pruned_heads|tie_encoder|fused|flash|"
    r"keys_to_ignore|^(temperature|top_k|top_p|typical_p|repetition_penalty|length_penalty|"
    r"diversity_penalty|max_length|min_length|num_beams|num_beam_groups|do_sample|"
    r"early_stopping|num_return_sequences|bad_words_ids|no_repeat_ngram_size|"
    r"encoder_no_repeat_ngram_size|suppress_tokens|begin_suppress_tokens|remove_invalid_values|"
    r"exponential_decay_length_penalty)$"
)
"""Records, defaults of training and decoding, and names: they do not act on a forward pass."""

_RULES: tuple[tuple[re.Pattern[str], Acts], ...] = tuple(
    (re.compile(pattern), acts)
    for pattern, acts in (
        (r"(bos|eos)_token_id$", Acts.TEXTS),
        (r"kv_shared|shared_kv", Acts.REFUSED),
        (r"^(max_position_embeddings|n_positions|n_ctx|max_seq_len)$", Acts.LIMIT),
        (r"final_logit|logits?_scal|^logits?_|lm_head|tie_word|mup_output", Acts.READOUT),
        (r"residual|parallel|layer_scale", Acts.BLOCK),
        (
            r"rope|rotary|inv_freq|sliding|attn|attention|head|window|layer_types|alibi|qk_|qkv|"
            r"position|multi_query|new_decoder_arch|is_causal",
            Acts.ATTENTION,
        ),
        (
            r"(^|_)act($|_)|activation|expert|mlp|ffn|moe|router|topk|routed|intermediate|inner|"
            r"swiglu",
            Acts.MLP,
        ),
        (r"eps$|epsilon$|norm", Acts.NORM),
        (r"embed", Acts.EMBEDDING),
    )
)
_STATEFUL = {"dynamic", "longrope"}
_NO_SETTING = {
    "training", "gradient_checkpointing", "max_seq_len_cached", "original_max_seq_len",
    "vocab_size", "out_features", "num_embeddings", "padding_idx", "layer_idx",
    "max_position_embeddings", "n_positions", "max_positions", "max_seq_len",
}  # fmt: skip


@dataclass(frozen=True)
class Setting:
    """One setting in which two models differ.

    Attributes:
        name: its name in the configuration, nested ones joined by dots.
        ours: the first model's value; None where it has none.
        theirs: the second model's.
        acts: where it acts.
    """

    name: str
    ours: Any
    theirs: Any
    acts: Acts


def differing_settings(first: HookedModel, second: HookedModel) -> tuple[Setting, ...]:
    """The settings in which two models differ and that are not mere records, by name.

    The configurations are compared, and then what the modules outside the blocks hold besides
    weights, for models that were changed in memory.

    Args:
        first: one model.
        second: another of the same class.
    """
    ours, theirs = _flat(_config(first.hf)), _flat(_config(second.hf))
    found = {
        name: Setting(name, ours.get(name), theirs.get(name), _where(name, ours, theirs))
        for name in sorted(ours.keys() | theirs.keys())
        if not any(map(_IDLE.search, name.split("."))) and ours.get(name) != theirs.get(name)
    }
    explained = {setting.acts for setting in found.values()}
    for setting in _beside_config(first, second):
        if setting.acts not in explained and not (found and setting.acts is Acts.UNKNOWN):
            found[setting.name] = setting
    return tuple(found.values())


def settings_digest(model: HookedModel) -> str:
    """A digest of all settings that may act, to tell apart models of equal weights."""
    flat = _flat(_config(model.hf))
    acting = {k: v for k, v in flat.items() if not any(map(_IDLE.search, k.split(".")))}
    return hashlib.sha256(repr(sorted(acting.items())).encode()).hexdigest()


def _config(hf: PreTrainedModel) -> dict[str, Any]:
    return hf.config.get_text_config(decoder=True).to_dict()


def _flat(values: Mapping[Any, Any], before: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{before}{key}.")
        elif value is not None:
            found[f"{before}{key}"] = list(value) if isinstance(value, tuple) else value
    return found


def _where(name: str, *configs: Mapping[str, Any]) -> Acts:
    acts = next((acts for pattern, acts in _RULES if pattern.search(name)), Acts.UNKNOWN)
    if acts is Acts.LIMIT:  # some kinds of rotary scaling, and slopes, are worked out from it
        kinds = {
            str(value)
            for config in configs
            for key, value in config.items()
            if re.search(r"rope.*type$", key)
        }
        slopes = any(re.search("alibi", key) for config in configs for key in config)
        if slopes or not kinds <= {"default", "linear", "llama3"}:
            return Acts.ATTENTION
    return acts


def _beside_config(first: HookedModel, second: HookedModel) -> Iterator[Setting]:
    """Buffers and plain values of the modules outside the blocks."""
    others = dict(second.hf.named_modules())
    for path, module in first.hf.named_modules():
        other = others.get(path)
        if f"{path}.".startswith(f"{first.anatomy.blocks}.") or other is None or path == "":
            continue
        if _STATEFUL & set(rope_types(module).values()):
            continue  # its tables follow the length of the text read last
        ours, theirs = _plain(module), _plain(other)
        buffers = dict(other.named_buffers(recurse=False))
        for name, tensor in module.named_buffers(recurse=False):
            if name not in buffers or not same_tensor(tensor, buffers[name]):
                ours[name], theirs[name] = "a table", "another table"
        for name in sorted(ours.keys() & theirs.keys()):
            if ours[name] != theirs[name]:
                label = f"{path.removeprefix('model.')}.{name}"
                yield Setting(label, ours[name], theirs[name], _where(label))
    names = _plain(first.hf), _plain(second.hf)
    for name in sorted(names[0].keys() & names[1].keys()):
        if names[0][name] != names[1][name]:
            yield Setting(name, names[0][name], names[1][name], _where(name))


def same_tensor(first: torch.Tensor, second: torch.Tensor) -> bool:
    """Return whether two tensors are equal in numbers, shape and dtype, on any device."""
    if first.shape != second.shape or first.dtype != second.dtype:
        return False
    if first.is_floating_point() and first.itemsize == 1:  # torch compares no 8-bit floats
        first, second = first.view(torch.uint8), second.view(torch.uint8)
    return torch.equal(first, second.to(first.device))


def _plain(module: nn.Module) -> dict[str, Any]:
    """Numbers, flags and words that a module keeps beside its weights, and its activation."""
    return {
        name: value
        for name, value in vars(module).items()
        if name not in _NO_SETTING
        and not _IDLE.search(name)
        and isinstance(value, bool | int | float | str)
    }


def same_function(first: nn.Module, second: nn.Module) -> bool:
    """Return whether two modules hold equal weights, buffers and plain values, and equal classes.

    Args:
        first: a module of one model.
        second: the module in its place in the other.
    """
    ours, theirs = weights_of(first), weights_of(second)
    if ours.keys() != theirs.keys():
        return False
    if not all(same_tensor(tensor, theirs[name]) for name, tensor in ours.items()):
        return False
    pairs = zip(first.modules(), second.modules(), strict=False)
    return all(type(a) is type(b) and _plain(a) == _plain(b) for a, b in pairs)
