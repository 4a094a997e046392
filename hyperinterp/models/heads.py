"""Attention heads side by side: the input of the map that writes to the stream."""

from torch import nn

from hyperinterp.errors import UnsupportedModel
from hyperinterp.models.hooked import HookedModel

_WRITES = ("o_proj", "out_proj", "c_proj", "dense", "wo")


def output_map(model: HookedModel, layer: int) -> nn.Module:
    """Return the map of a block's attention that takes all heads side by side to the stream.

    Args:
        model: the model.
        layer: index of the block.

    Raises:
        UnsupportedModel: there is none of a known name.
    """
    attention = model.blocks[layer].get_submodule(model.anatomy.block.attn)
    for name, module in attention.named_modules():
        if name.rpartition(".")[2] in _WRITES and getattr(module, "weight", None) is not None:
            return module
    raise UnsupportedModel(
        f"{model.name}: expected a map of the heads named one of {', '.join(_WRITES)}, found none "
        f"in block {layer}"
    )


def head_count(model: HookedModel) -> int:
    """Return how many heads a block's attention has.

    Args:
        model: the model.

    Raises:
        UnsupportedModel: its configuration does not say.
    """
    config = model.hf.config.get_text_config()
    for name in ("num_attention_heads", "n_head", "num_heads"):
        found = getattr(config, name, None)
        if isinstance(found, int) and found > 0:
            return found
    raise UnsupportedModel(
        f"{model.name}: expected a configuration with a number of attention heads, found none"
    )
