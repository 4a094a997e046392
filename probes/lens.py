"""The logit lens: read a hidden state through the final norm and the unembedding.

The norm and the unembedding are functions that the caller passes in; each gets rows [rows d] or
what the other returned. Nostalgebraist 2020, "interpreting GPT: the logit lens".
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from probes._foreign import Array, Ids, check_finite, check_ids, integers, real, widen
from probes.ranks.tokens import rank_rows

Map = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class LensReadout:
    """The logit-lens readout of each hidden state for its given token.

    Attributes:
        ranks: Rank of the token in the lens logits, from 1; int64 of shape [...].
        log_probs: Natural log of its lens probability, float64 of shape [...].
    """

    ranks: Int[Tensor, "*contexts"]
    log_probs: Float[Tensor, "*contexts"]


def _chunks(
    hidden: Array, norm: Map, unembed: Map, chunk: int
) -> Iterator[tuple[slice, Float[Tensor, "rows v"]]]:
    x = real(hidden, "hidden", axes="[... d]")
    if chunk < 1:
        raise ValueError(f"chunk: expected 1 row or more, found {chunk}")
    flat = x.reshape(-1, x.shape[-1])
    for start in range(0, len(flat), chunk):
        rows = slice(start, min(len(flat), start + chunk))
        check_finite(flat[rows], "hidden")
        with torch.no_grad():
            logits = unembed(norm(flat[rows]))
        if logits.ndim != 2 or len(logits) != rows.stop - rows.start:
            raise ValueError(
                f"unembed: expected logits [{rows.stop - rows.start} v], found {list(logits.shape)}"
            )
        yield rows, logits.detach()


def logit_lens(
    hidden: Array, norm: Map, unembed: Map, chunk: int = 256
) -> Float[Tensor, "*contexts v"]:
    """Logits that a hidden state would give if the model stopped there.

    The result holds all logits: for ranks and probabilities of known tokens use `lens_ranks`.

    Args:
        hidden: Residual stream of shape [... d].
        norm: The final norm, [rows d] to [rows d].
        unembed: The unembedding (with its soft cap, if any), [rows d] to [rows v].
        chunk: Rows at a time.

    Returns:
        Logits of shape [... v] in the dtype of `unembed`.

    Raises:
        ValueError: for an empty or non-float `hidden`, NaN or infinity, or an `unembed` whose
            result is not [rows v].

    Source: nostalgebraist 2020, "interpreting GPT: the logit lens".

    >>> logit_lens(torch.eye(2), lambda h: h, lambda h: 2 * h)
    tensor([[2., 0.],
            [0., 2.]])
    """
    lead = tuple(hidden.shape[:-1])
    parts = [logits for _, logits in _chunks(hidden, norm, unembed, chunk)]
    return torch.cat(parts).reshape(*lead, parts[0].shape[-1])


def lens_ranks(
    hidden: Array, tokens: Ids, norm: Map, unembed: Map, chunk: int = 256
) -> LensReadout:
    """Lens rank and log-probability of given tokens per hidden state, logits in chunks only.

    Args:
        hidden: Residual stream of shape [... d], for example [layers n d].
        tokens: Token ids that broadcast to [...], for example [n]; with further axes before
            those, [k ...], several tokens per hidden state, whose logits are made once.
        norm: The final norm, [rows d] to [rows d].
        unembed: The unembedding, [rows d] to [rows v].
        chunk: Rows at a time; memory is O(chunk * v).

    Returns:
        A `LensReadout` of shape [...] or [k ...]; ranks are exactly those of
        `probes.ranks.token_ranks`.

    Raises:
        ValueError: as `logit_lens`; for tokens that do not broadcast or lie outside [0, v); for
            lens logits with NaN or infinity.

    Source: the lens is nostalgebraist's (2020), see `logit_lens`; the rank is counted as in
    `probes.ranks.token_ranks`.

    >>> lens_ranks(torch.eye(2), [1, 1], lambda h: h, lambda h: 2 * h).ranks
    tensor([2, 1])
    """
    lead, ids = tuple(hidden.shape[:-1]), integers(tokens, "tokens")
    shape = (*ids.shape[: max(0, ids.ndim - len(lead))], *lead)
    try:
        wanted = ids.broadcast_to(shape).reshape(-1, math.prod(lead))
    except RuntimeError:
        raise ValueError(
            f"tokens: expected a shape that broadcasts to {list(lead)}, found {list(ids.shape)}"
        ) from None
    ranks: list[Tensor] = []
    log_probs: list[Tensor] = []
    for rows, logits in _chunks(hidden, norm, unembed, chunk):
        check_ids(wanted[:, rows], logits.shape[-1], "tokens")
        at = wanted[:, rows].to(logits.device)
        wide = widen(logits, "lens logits")
        ranks.append(torch.stack([rank_rows(logits, one[:, None]) for one in at]))
        found = wide.gather(-1, at.to(wide.device).T)
        log_probs.append((found - wide.logsumexp(-1, keepdim=True)).T)
    return LensReadout(
        torch.cat(ranks, dim=1).reshape(shape), torch.cat(log_probs, dim=1).reshape(shape)
    )


def overtake_depth(
    base_token_logprob: Array, fitted_token_logprob: Array
) -> Int[Tensor, "*contexts"]:
    """First depth from which the fitted choice stays strictly above the base's choice to the end.

    Args:
        base_token_logprob: Lens log-probability (or logit) of the base's choice, [L ...], one row
            per depth, shallow to deep.
        fitted_token_logprob: The same of the fitted model's choice.

    Returns:
        int64 of shape [...], in [0, L]; L where the fitted choice is not above at the last depth.

    Raises:
        ValueError: for shapes that differ, an empty input, NaN or infinity.

    >>> base = torch.tensor([[-1.0, -1.0], [-3.0, -1.0], [-3.0, -1.0]])
    >>> overtake_depth(base, torch.full((3, 2), -2.0))
    tensor([1, 3])
    """
    base = real(base_token_logprob, "base_token_logprob", axes="[L ...]")
    fitted = real(fitted_token_logprob, "fitted_token_logprob", axes="[L ...]")
    if base.shape != fitted.shape:
        raise ValueError(
            f"fitted_token_logprob: expected shape {list(base.shape)}, found {list(fitted.shape)}"
        )
    check_finite(base, "base_token_logprob")
    check_finite(fitted, "fitted_token_logprob")
    ahead = (fitted > base).flip(0).to(torch.int64)
    return len(base) - ahead.cumprod(0).sum(0)
