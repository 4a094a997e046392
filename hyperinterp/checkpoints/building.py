"""From staged files to a model and a tokenizer, with every surprise of transformers turned off."""

import contextlib
import copy
import logging
import re
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging as hf_logging

from hyperinterp.checkpoints.quantised import dense, is_quantised, packed
from hyperinterp.checkpoints.screen import ATTENTION, one_line
from hyperinterp.checkpoints.staging import Stored
from hyperinterp.checkpoints.tensorfile import StoredTensor
from hyperinterp.errors import (
    CorruptFile,
    HyperinterpError,
    InputRefused,
    MismatchedPair,
    NumericalFault,
    OutOfResources,
    UnsafeFile,
    memory_ran_out,
)

_MAX_BUFFER_ELEMENTS = 1 << 30
# Buffers that older versions of the library stored and newer ones compute.
_DERIVED = re.compile(
    r"rotary_emb\.inv_freq$|(^|\.)position_ids$|(attn|attention)\.(masked_)?bias$"
)


def no_room(what: str) -> OutOfResources:
    """The error of a model that memory has no room for, on the machine or on a card."""
    return OutOfResources(
        f"{what}: memory ran out while loading; try --dtype bfloat16 or a smaller model"
    )


@contextlib.contextmanager
def quiet_transformers(what: str) -> Iterator[None]:
    """No progress bars, log lines or warnings of transformers; its errors become ours.

    The global random state is put back too: loading must not change what is drawn later.
    """
    level, bars = hf_logging.get_verbosity(), hf_logging.is_progress_bar_enabled()
    hf_logging.set_verbosity(logging.CRITICAL)
    hf_logging.disable_progress_bar()
    try:
        with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
            warnings.simplefilter("ignore")
            yield
    except (HyperinterpError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:  # pyo3 panics of tokenizers derive from BaseException
        if memory_ran_out(error):
            raise no_room(what) from error
        if isinstance(error, RuntimeError) and "memory" in str(error).lower():
            raise OutOfResources(
                f"{what}: memory ran out: {one_line(error)}; try --dtype bfloat16 or a smaller "
                "model"
            ) from error
        raise InputRefused(
            f"{what}: transformers cannot read it: {one_line(error)}; save it anew with "
            "save_pretrained"
        ) from error
    finally:
        hf_logging.set_verbosity(level)
        if bars:
            hf_logging.enable_progress_bar()


def build_model(
    stored: Stored,
    what: str,
    *,
    dtype: torch.dtype,
    attn_implementation: str | None,
    strict: bool = False,
) -> PreTrainedModel:
    """Build a causal language model from staged files, in eval mode on the CPU.

    With `strict`, tensors that the model has no place for are refused as well (some published
    checkpoints carry such left-overs; files that we wrote never do).

    Raises:
        UnsafeFile: The configuration asks for more weights than the files hold.
        CorruptFile: Weights are missing or have another shape.
        NumericalFault: A weight is NaN or infinite.
    """
    if attn_implementation not in (None, *ATTENTION):
        allowed = ", ".join(ATTENTION)
        raise InputRefused(
            f"attn_implementation: expected one of {allowed}, found {attn_implementation!r:.80}"
        )
    with quiet_transformers(what):
        config = read_config(stored.root)
        outline = build_outline(config)
        check_capacity(outline, stored.tensors, what, packed=packed(stored.config))
        attention = attn_implementation or (
            "sdpa" if getattr(outline, "_supports_sdpa", False) else "eager"
        )
        model, info = _filled(
            type(outline), stored, config=config, dtype=dtype, attn_implementation=attention
        )
        if is_quantised(stored.config):
            model = dense(model, dtype, what)
    _check_complete(info, what, strict=strict, own_code=stored.own_code)
    check_finite(model, what)
    _detach_from_staging(model, what)
    return model.eval()


def _filled(kind: Any, stored: Stored, **options: Any) -> tuple[Any, Mapping[str, Any]]:
    """The model of a class with the staged weights, and what transformers says of the loading."""
    options.update(local_files_only=True, use_safetensors=True, output_loading_info=True)
    options.update(ignore_mismatched_sizes=True)  # they are told by name
    if not stored.renamed:
        return kind.from_pretrained(stored.root, **options)
    model, info = kind.from_pretrained(None, state_dict=stored.load(), **options)
    if (stored.root / "generation_config.json").is_file():
        model.generation_config = GenerationConfig.from_pretrained(stored.root)
    return model, info


def read_config(root: Path) -> PreTrainedConfig:
    """The staged config.json as a transformers configuration."""
    config = AutoConfig.from_pretrained(root, local_files_only=True, trust_remote_code=False)
    if getattr(config, "is_encoder_decoder", False):
        raise InputRefused(
            f"{config.model_type}: expected a decoder-only causal language model; choose one "
            "such as Llama"
        )
    return config


def build_outline(config: PreTrainedConfig) -> PreTrainedModel:
    """The model of a configuration with shapes but no memory (on the meta device)."""
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(
            copy.deepcopy(config), attn_implementation="eager", trust_remote_code=False
        )


def check_capacity(
    outline: nn.Module, tensors: Mapping[str, StoredTensor], what: str, *, packed: int = 1
) -> None:
    """Refuse, before memory is taken, a configuration that the stored weights cannot fill.

    Args:
        outline: The model without memory.
        tensors: What is stored.
        what: What to call the checkpoint.
        packed: How many weights one stored element may stand for.

    Raises:
        UnsafeFile: Fewer elements are stored than the model has, or its buffers are huge.
    """
    wanted = sum(p.numel() for p in outline.parameters())
    held = sum(t.elements for t in tensors.values())
    if wanted > held * packed:
        raise UnsafeFile(
            f"{what}: config.json describes {wanted:,} parameters, the weights files hold {held:,}"
        )
    buffers = sum(b.numel() for b in outline.buffers())
    if buffers > _MAX_BUFFER_ELEMENTS:
        raise UnsafeFile(f"{what}: config.json asks for buffers of {buffers:,} elements")


def build_tokenizer(stored: Stored, what: str) -> PreTrainedTokenizerBase | None:
    """The staged tokenizer; None when the checkpoint has no tokenizer files."""
    return read_tokenizer(stored.root, what) if stored.has_tokenizer else None


def read_tokenizer(root: Path, what: str) -> PreTrainedTokenizerBase:
    """The tokenizer in a directory of screened files, named after its source."""
    with quiet_transformers(f"{what} tokenizer"):
        tokenizer: Any = AutoTokenizer.from_pretrained(
            root, local_files_only=True, trust_remote_code=False
        )
    for key in ("local_files_only", "is_local"):
        tokenizer.init_kwargs.pop(key, None)
    name_tokenizer(tokenizer, what)
    return tokenizer


def name_tokenizer(tokenizer: PreTrainedTokenizerBase, what: str, place: str | None = None) -> None:
    """Name a tokenizer after its source rather than after a directory that is about to go.

    Args:
        tokenizer: Changed in place.
        what: Its name.
        place: Where others can load it anew, as transformer-lens does to have it begin texts;
            its name by default.
    """
    tokenizer.name_or_path = what
    tokenizer.init_kwargs["name_or_path"] = what if place is None else place


def check_vocabulary(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase | None, what: str
) -> None:
    """Refuse a tokenizer that can produce ids beyond the embedding.

    Raises:
        MismatchedPair: The tokenizer has more entries than the embedding has rows.
    """
    embedding: Any = model.get_input_embeddings()
    rows = int(embedding.weight.shape[0])
    if tokenizer is not None and len(tokenizer) > rows:
        raise MismatchedPair(
            f"{what}: its tokenizer has {len(tokenizer)} tokens, the embedding {rows} rows"
        )


def check_finite(model: nn.Module | Mapping[str, Tensor], what: str) -> None:
    """Look for NaN or infinity in every parameter and floating-point buffer, or in given tensors.

    Raises:
        NumericalFault: Names the first such tensor.
    """
    if isinstance(model, nn.Module):
        named = [*model.named_parameters(), *model.named_buffers()]
    else:
        named = list(model.items())
    for name, tensor in named:
        if tensor.is_floating_point() and tensor.numel() and not tensor.is_meta:
            low, high = torch.aminmax(tensor.detach())
            if not bool(torch.isfinite(low) & torch.isfinite(high)):
                raise NumericalFault(f"{what}: {name} holds NaN or infinity")


def _check_complete(info: Mapping[str, Any], what: str, *, strict: bool, own_code: bool) -> None:
    """Refuse a model that the files do not fill; every kind of difference is told."""
    found = []
    if missing := sorted(map(str, info.get("missing_keys") or [])):
        found.append(f"the file lacks {len(missing)} weights ({_some(missing)})")
    if shapes := sorted(map(_mismatch, info.get("mismatched_keys") or [])):
        found.append(f"{len(shapes)} weights have another shape ({_some(shapes)})")
    extra = sorted(n for n in map(str, info.get("unexpected_keys") or []) if not _DERIVED.search(n))
    if extra and strict:
        found.append(f"the model has no place for {len(extra)} tensors ({_some(extra)})")
    if extra and own_code:
        raise InputRefused(
            f"{what}: its own code, which is never run, has {len(extra)} tensors that "
            f"transformers' class has no place for ({_some(extra)}); name a checkpoint that was "
            "converted to transformers' own class"
        )
    found += [one_line(Exception(error)) for error in (info.get("error_msgs") or [])[:1]]
    if found:
        raise CorruptFile(
            f"{what}: {'; '.join(found)}; expected the weights of just this config.json: name the "
            "model's own config (--like for a file of weights alone), or save it with "
            "save_pretrained"
        )


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")


def _mismatch(entry: Any) -> str:
    if isinstance(entry, tuple) and len(entry) == 3:
        name, stored, wanted = entry
        return f"{name} {list(stored)} for {list(wanted)}"
    return str(entry)


def _detach_from_staging(model: PreTrainedModel, what: str) -> None:
    """Name the model after its source rather than after a directory that is about to go."""
    model.name_or_path = what
    for config in (model.config, getattr(model, "generation_config", None)):
        if config is not None and hasattr(config, "_name_or_path"):
            config._name_or_path = what


def library_versions() -> dict[str, str]:
    """Versions that a writer records in its provenance."""
    return {"torch": str(torch.__version__), "transformers": transformers.__version__}
