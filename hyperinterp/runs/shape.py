"""The shape of a model, from its modules and its configuration alone: no weight is read."""

from dataclasses import dataclass
from typing import Any

from torch import nn


@dataclass(frozen=True)
class Shape:
    """The sizes that decide how much memory and work a model takes.

    Attributes:
        width: of the residual stream.
        layers: number of blocks.
        vocabulary: rows of the unembedding.
        itemsize: bytes of a weight, and of an activation.
        weights: bytes of all weights and buffers, those that are shared once.
        body: numbers of weights in the blocks.
        cache: bytes that a token takes in the cache of keys and values.
        inner: numbers that a block computes for a token at once, at most.
    """

    width: int
    layers: int
    vocabulary: int
    itemsize: int
    weights: int
    body: int
    cache: int
    inner: int

    @staticmethod
    def of(model: nn.Module, itemsize: int | None = None) -> "Shape":
        """Return the shape of a causal language model of transformers, also without memory.

        Args:
            model: a `PreTrainedModel`, on any device, meta among them.
            itemsize: bytes of a weight, where it is to be loaded in another dtype.
        """
        hf: Any = model
        config = hf.config.get_text_config()
        embedding, unembedding = hf.get_input_embeddings(), hf.get_output_embeddings()
        width = int(embedding.weight.shape[-1])
        size = itemsize or embedding.weight.itemsize
        heads = getattr(config, "num_attention_heads", None) or 1
        kept = getattr(config, "num_key_value_heads", None) or heads
        head = getattr(config, "head_dim", None) or width // heads
        layers = int(config.num_hidden_layers)
        tensors = {storage_of(t): t for t in (*hf.parameters(), *hf.buffers())}
        ends = {storage_of(m.weight) for m in (embedding, unembedding) if m is not None}
        body = sum(t.numel() for place, t in tensors.items() if place not in ends)
        inner = max(
            (max(t.shape) for place, t in tensors.items() if t.ndim == 2 and place not in ends),
            default=width,
        )
        return Shape(
            width=width,
            layers=layers,
            vocabulary=int((unembedding or embedding).weight.shape[0]),
            itemsize=size,
            weights=sum(t.numel() * _bytes(t, itemsize) for t in tensors.values()),
            body=body,
            cache=2 * layers * kept * head * size,
            inner=inner,
        )


def storage_of(tensor: Any) -> int:
    """Return what tells the memory of tensors apart, also of those that have none yet."""
    return tensor.untyped_storage()._cdata


def _bytes(tensor: Any, itemsize: int | None) -> int:
    return itemsize if itemsize and tensor.is_floating_point() else tensor.itemsize
