"""A cache as one safetensors file with a JSON header."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors.torch import save_file

from hyperinterp.checkpoints.files import write_file

if TYPE_CHECKING:
    from hyperinterp.activations.store import ActivationCache

KEY = "hyperinterp"
FORMAT, VERSION = "activation cache", 1


def write_cache(cache: "ActivationCache", out: str | Path, *, force: bool) -> Path:
    """Write a cache; see `ActivationCache.save`."""
    header = {
        "format": FORMAT,
        "version": VERSION,
        "dtype": str(cache.dtype).removeprefix("torch."),
        "sites": [site.key for site in cache],
        "lengths": cache.lengths,
        "positions": cache.positions,
        "prompts": cache.prompts,
        **asdict(cache.origin),
    }
    tensors = {site.key: tensor.detach().cpu().contiguous() for site, tensor in cache.items()}
    told = {KEY: json.dumps(header)}
    return write_file(out, lambda path: save_file(tensors, path, told), force=force)
