"""Run a model over some texts once and keep what was asked for."""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from hyperinterp.activations.names import SiteName, site_of
from hyperinterp.activations.store import ActivationCache, Origin
from hyperinterp.capture.accumulators import check_finite
from hyperinterp.errors import InputRefused, OutOfResources
from hyperinterp.models import AnyModel, HookedModel, check_given, taken
from hyperinterp.ranges import at_least
from hyperinterp.sites import Site, stream_sites
from hyperinterp.text import TokenRows, as_passages, chat_of, tokenise


def cache(
    model: AnyModel,
    texts: Any,
    sites: SiteName | Iterable[SiteName] | None = None,
    *,
    tokens: int = 128,
    batch_size: int = 8,
    dtype: torch.dtype | None = None,
) -> ActivationCache:
    """Run a model over some texts and keep its activations, on the CPU.

    A comparison streams and keeps none; a cache is for looking closer. It takes prompts x tokens x
    d_model numbers per site: 24 prompts of 128 tokens of smollm2 are 7 MB per site in float32.

    Args:
        model: by name or in memory: whatever `hyperinterp.load` takes.
        texts: whatever `hyperinterp.as_passages` takes, or token ids `[prompt position]`.
        sites: what is kept, by any name (see `ActivationCache`); the embedding, every block's
            output and the final norm's output by default.
        tokens: tokens kept of each text; shorter texts stay as they are, those of one token are
            left out.
        batch_size: texts per forward pass.
        dtype: of what is kept; that of the model by default.

    Returns:
        The cache. Its model is at hand for `lens`.

    Raises:
        InputRefused: no model, no text that is long enough, no such site, or a text that is too
            long for the model.
        NumericalFault: an activation is not finite; names the site.
        OutOfResources: no memory for so many activations.
    """
    at_least("tokens", tokens, 2)
    at_least("batch_size", batch_size, 1)
    check_given(model, "model")
    found = taken(model, "model")
    wanted = _sites(found, sites)
    rows = _rows(found, texts, tokens)
    longest = max(map(len, rows.rows))
    found.check_length(longest, "tokens")
    shape = (len(rows), longest, found.d_model)
    try:
        kept = {site: torch.full(shape, torch.nan, dtype=dtype or found.dtype) for site in wanted}
    except (RuntimeError, MemoryError) as error:
        numbers = len(wanted) * shape[0] * shape[1] * shape[2]
        raise OutOfResources(
            f"cache: no memory for {numbers:,} numbers; name fewer sites, or fewer tokens"
        ) from error
    for numbers, ids in rows.batches(batch_size):

        def read(site: Site, tensor: Tensor, numbers: list[int] = numbers) -> None:
            check_finite(found, site, tensor)
            kept[site][numbers, : tensor.shape[1]] = tensor.to("cpu", kept[site].dtype)

        found.run(ids, wanted, read)
    origin = Origin(found.name, found.fingerprint, ids_digest(rows.rows), found.n_layers)
    lengths = tuple(map(len, rows.rows))
    return ActivationCache(kept, lengths, origin, prompts=rows.index, model=found)


def _sites(model: HookedModel, given: SiteName | Iterable[SiteName] | None) -> list[Site]:
    if given is None:
        return list(stream_sites(model.n_layers))
    one = isinstance(given, Site | str | int)
    pair = isinstance(given, tuple) and len(given) == 2 and isinstance(given[1], int)
    names: list[Any] = [given] if one or (pair and isinstance(given[0], str)) else list(given)  # type: ignore
    found = list(dict.fromkeys(site_of(name, model.n_layers) for name in names))
    if not found:
        raise InputRefused("sites: expected at least one, found none; leave sites out for all")
    return found


def _rows(model: HookedModel, texts: Any, tokens: int) -> TokenRows:
    if isinstance(texts, Tensor):
        return _given_ids(texts, model, tokens)
    if model.tokenizer is None:
        raise InputRefused(
            f"{model.name}: expected a tokenizer, found none; pass token ids, or give it one with "
            "hyperinterp.load(model, tokenizer=tokenizer)"
        )
    passages = as_passages(texts, what="texts")
    chat = chat_of("auto", [(model.name, model.tokenizer)])
    return tokenise(model.tokenizer, passages, tokens, open_end=True, chat=chat)


def _given_ids(ids: Tensor, model: HookedModel, tokens: int) -> TokenRows:
    right = ids.ndim == 2 and ids.numel() and not (ids.is_floating_point() or ids.is_complex())
    if not right or int(ids.min()) < 0 or int(ids.max()) >= model.vocab_size:
        raise InputRefused(
            f"texts: expected token ids [prompt position] below {model.vocab_size}, found "
            f"{ids.dtype} {list(ids.shape)}; pass texts, or ids of this model's tokenizer"
        )
    rows = tuple(tuple(row[:tokens]) for row in ids.tolist())
    return TokenRows(rows, tuple(range(len(rows))), max(map(len, rows)), 0)


def ids_digest(rows: Sequence[Sequence[int]]) -> str:
    """Return the sha256 of token ids, row by row."""
    told = "\n".join(",".join(map(str, row)) for row in rows)
    return hashlib.sha256(told.encode()).hexdigest()
