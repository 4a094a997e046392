"""Activations that other libraries collected, taken in as a cache."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hyperinterp.activations.collecting import ids_digest
from hyperinterp.activations.names import EXPECTED, known_site
from hyperinterp.activations.store import ActivationCache, Origin
from hyperinterp.errors import InputRefused
from hyperinterp.sites import Site, SiteKind

_TAKES = (
    "an ActivationCache, the cache of transformer-lens' run_with_cache, what an nnsight trace "
    "saved by name, or the hidden_states of a transformers model"
)


def as_cache(
    given: Any,
    *,
    ids: Tensor | Sequence[Sequence[int]] | None = None,
    mask: Tensor | None = None,
    model: str = "",
    n_layers: int | None = None,
) -> ActivationCache:
    """Return activations that were collected elsewhere as a cache.

    Args:
        given: the `ActivationCache` of transformer-lens; a dict from names (see
            `hyperinterp.ActivationCache`) to what an nnsight trace saved there; or the
            `hidden_states` tuple of transformers, whose first entry enters block 0 and whose last
            one is the final norm's output: the last block's own output is not among them. Names
            that mean no site here are left out. Tensors are `[prompt position d_model]`, or
            `[position d_model]` of one prompt.
        ids: the token ids that were read, for the digest by which caches of one text are known.
        mask: attention mask `[prompt position]` of texts padded at their ends.
        model: name of the model.
        n_layers: number of its blocks; else one more than the last block that is named.

    Raises:
        InputRefused: none of these; no name of a site; shapes that do not agree; padding at the
            left.
    """
    if isinstance(given, ActivationCache):
        return given
    if isinstance(given, tuple | list):
        tensors, blocks = _hidden_states(given), len(given) - 1
    else:
        tensors, blocks = _named(given)
    shape = next(iter(tensors.values())).shape
    lengths = _lengths(mask, shape[0], shape[1])
    digest = "" if ids is None else ids_digest(_given_rows(ids, lengths))
    origin = Origin(model, "", digest, n_layers or blocks)
    behind = torch.arange(shape[1])[None] >= torch.tensor(lengths)[:, None]
    if bool(behind.any()):
        tensors = {
            site: tensor.masked_fill(behind.to(tensor.device)[..., None], torch.nan)
            for site, tensor in tensors.items()
        }
    return ActivationCache(tensors, lengths, origin)


def _hidden_states(given: Sequence[Any]) -> dict[Site, Tensor]:
    """The embedding, every block's output but the last, and the final norm's output."""
    if len(given) < 2:
        raise InputRefused(
            f"hidden_states: expected an entry per block and one more, found {len(given)}; call "
            "the model with output_hidden_states=True"
        )
    last = len(given) - 1
    sites = [
        Site(SiteKind.EMBED),
        *(Site(SiteKind.RESID, layer) for layer in range(last - 1)),
        Site(SiteKind.FINAL_NORM),
    ]
    return {
        site: _tensor(value, f"hidden_states[{index}]")
        for index, (site, value) in enumerate(zip(sites, given, strict=True))
    }


def _named(given: Any) -> tuple[dict[Site, Tensor], int | None]:
    """Tensors by name; where two names mean one site, the first."""
    if not (isinstance(given, Mapping) or callable(getattr(given, "items", None))):
        raise InputRefused(
            f"cache: expected {_TAKES}, found {type(given).__name__}; pass one of these"
        )
    found: dict[Site, Tensor] = {}
    for name, value in given.items():
        site = known_site(name)
        if site is not None and site not in found:
            found[site] = _tensor(value, str(name))
    if not found:
        names = ", ".join(map(str, list(given)[:4])) or "none"
        raise InputRefused(
            f"cache: expected names such as {EXPECTED}, found {names:.200}; name them like that"
        )
    return found, max((1 + site.layer for site in found if site.layer is not None), default=None)


def _tensor(value: Any, name: str) -> Tensor:
    """The tensor behind a saved proxy, the first of a block's outputs, or an array."""
    value = getattr(value, "value", value)
    if isinstance(value, tuple | list) and value:
        value = value[0]
    if isinstance(value, np.ndarray):
        value = torch.from_numpy(np.ascontiguousarray(value))
    if not isinstance(value, Tensor) or not value.is_floating_point() or value.ndim not in (2, 3):
        told = list(value.shape) if isinstance(value, Tensor) else type(value).__name__
        raise InputRefused(
            f"{name}: expected a floating tensor [prompt position d_model], found {told}; save the "
            "output of the module itself"
        )
    value = value.detach()
    return value[None] if value.ndim == 2 else value


def _lengths(mask: Tensor | None, prompts: int, columns: int) -> tuple[int, ...]:
    if mask is None:
        return (columns,) * prompts
    if list(mask.shape) != [prompts, columns]:
        raise InputRefused(
            f"mask: expected shape {[prompts, columns]}, found {list(mask.shape)}; pass the mask "
            "that the model was given"
        )
    kept = mask.bool().cpu()
    lengths = kept.sum(1)
    ends = torch.arange(columns)[None] < lengths[:, None]
    if not bool((kept == ends).all()) or not bool((lengths > 0).all()):
        raise InputRefused(
            "mask: expected texts padded at their ends, found others; use padding_side='right'"
        )
    return tuple(lengths.tolist())


def _given_rows(ids: Any, lengths: Sequence[int]) -> list[list[int]]:
    rows = ids.tolist() if isinstance(ids, Tensor) else [list(row) for row in ids]
    if len(rows) != len(lengths) or any(
        len(row) < length for row, length in zip(rows, lengths, strict=True)
    ):
        raise InputRefused(
            f"ids: expected token ids of {len(lengths)} prompts, found {len(rows)} or shorter "
            "ones; pass the ids that the model read"
        )
    return [row[:length] for row, length in zip(rows, lengths, strict=True)]
