"""Positions: rotary tables that grow with the texts, and the longest text a model can take."""

from collections.abc import Iterable
from typing import Any

from torch import nn
from transformers import PreTrainedModel


def rope_types(module: nn.Module) -> dict[str, str]:
    """Kinds of rotary scaling of a rotary module, by the prefix of their tables; else empty."""
    kinds = getattr(module, "rope_type", None)
    if isinstance(kinds, str):
        return {"": kinds}
    return {f"{layer}_": kind for layer, kind in kinds.items()} if isinstance(kinds, dict) else {}


def growing_tables(hf: nn.Module) -> list[Any]:
    """Return the rotary modules whose tables grow with the longest text so far."""
    return [item for item in hf.modules() if "dynamic" in rope_types(item).values()]


def forget_lengths(modules: Iterable[Any]) -> None:
    """Put the tables of these rotary modules back to their original length, in place."""
    for module in modules:
        for prefix, kind in rope_types(module).items():
            if kind == "dynamic":
                original = getattr(module, f"{prefix}original_inv_freq")
                table = getattr(module, f"{prefix}inv_freq")
                setattr(module, f"{prefix}inv_freq", original.to(table.device))
                setattr(module, f"{prefix}max_seq_len_cached", module.original_max_seq_len)


def position_limit(hf: PreTrainedModel, family: str) -> int | None:
    """Return the most tokens that a model's table of positions can take.

    Args:
        hf: the model.
        family: its architecture's name.

    Returns:
        None without a table of fixed length.
    """
    if family == "mpt":
        return int(hf.config.max_seq_len)
    limit = getattr(hf.config, "max_position_embeddings", None)
    if not isinstance(limit, int):
        return None
    tables = [
        module.num_embeddings
        for module in hf.modules()
        if isinstance(module, nn.Embedding) and module is not hf.get_input_embeddings()
    ]
    tables += [
        len(table)
        for name, table in hf.named_buffers()
        if name.rpartition(".")[2] == "embed_positions"
    ]
    return limit if any(limit <= rows <= limit + 2 for rows in tables) else None
