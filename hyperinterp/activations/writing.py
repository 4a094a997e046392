"""A cache as one safetensors file with a JSON header."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from hyperinterp.checkpoints.files import write_file
from hyperinterp.sites import Site

KEY = "hyperinterp"
FORMAT, VERSION = "activation cache", 1


def write_cache(
    tensors: Mapping[Site, Tensor], facts: Mapping[str, Any], out: str | Path, *, force: bool
) -> Path:
    """Write a cache; see `ActivationCache.save`.

    Args:
        tensors: by site.
        facts: what the header says beside format, version, dtype and sites.
        out: the file.
        force: replace one that is there.
    """
    dtype = next(iter(tensors.values())).dtype
    header = {
        "format": FORMAT,
        "version": VERSION,
        "dtype": str(dtype).removeprefix("torch."),
        "sites": [site.key for site in tensors],
        **facts,
    }
    plain = {site.key: tensor.detach().cpu().contiguous() for site, tensor in tensors.items()}
    told = {KEY: json.dumps(header)}
    return write_file(out, lambda path: save_file(plain, path, told), force=force)
