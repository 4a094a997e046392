"""Surprisal of tokens under a reference model's logits, and of those that no loop explains."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from probes._foreign import Array, Ids, check_finite, id_list, real, token_column, values
from probes.devices import home
from probes.diversity.repetition import repeated_spans
from probes.slices import row_slices

_LOOP = 4
"""Length of the n-grams whose return makes a token part of a loop."""


def surprisal(logits: Array, tokens: Ids | int) -> Float[Tensor, "*contexts"]:
    """Return -log softmax(logits)[token] per context, in [0, inf) nats per token.

    The mean over a text is its cross-entropy under the model that gave the logits.

    Args:
        logits: Next-token logits of the reference model, shape [... v]. Of float32 ones the
            exponentials are float32, too: within 3e-6 nats of what float64 would give.
        tokens: The token that came next in each context, shape [...].

    Returns:
        Float64 of shape [...].

    Raises:
        ValueError: for ids of another shape or outside the vocabulary, an empty or non-float
            input, NaN or infinity.

    >>> surprisal(torch.zeros(2, 8), torch.tensor([0, 3])).exp()
    tensor([8.0000, 8.0000], dtype=torch.float64)
    """
    x = real(logits, "logits")
    column = token_column(tokens, x, "tokens")
    flat = x.reshape(-1, x.shape[-1])
    parts: list[Tensor] = []
    for rows in row_slices(*flat.shape, device=flat.device):
        part = flat[rows]
        check_finite(part, "logits")
        part = part if part.dtype == torch.float64 else part.float()
        most = part.amax(-1, keepdim=True)
        total = home((part - most).exp_().sum(-1)).to(torch.float64)
        below = home(most - part.gather(-1, column[rows])).squeeze(-1).to(torch.float64)
        parts.append((total.log() + below).clamp_min(0.0))
    return torch.cat(parts).reshape(x.shape[:-1])


def fresh_tokens(prompt: Ids, ids: Ids) -> Bool[Tensor, " n"]:
    """Return which generated tokens belong to no 4-gram that occurred before.

    The prompt counts as text that occurred before. A model that repeats itself finds its own
    repetition likely, so the surprisal of a loop says nothing of the text that the loop repeats.

    Args:
        prompt: Token ids of the prompt; may be empty.
        ids: Token ids of the text after it, [n].

    Returns:
        True where a token is fresh, shape [n].

    Raises:
        ValueError: for ids that are not sequences of non-negative integers.

    >>> fresh_tokens([], [5, 6, 7, 8, 5, 6, 7, 8]).tolist()
    [True, True, True, True, False, False, False, False]
    """
    before, after = id_list(prompt, "prompt"), id_list(ids)
    fresh = torch.ones(len(before) + len(after), dtype=torch.bool)
    for start, stop in repeated_spans([*before, *after], _LOOP) if len(fresh) >= _LOOP else []:
        fresh[start:stop] = False
    return fresh[len(before) :]


@dataclass(frozen=True)
class FreshSurprisal:
    """Surprisal of one text, its repetitions left out.

    Attributes:
        mean: Mean surprisal of the fresh tokens, nats per token; None where no token is fresh.
        fresh: Number of fresh tokens.
        tokens: Number of all tokens.
    """

    mean: float | None
    fresh: int
    tokens: int


def fresh_surprisal(surprisals: Array, fresh: Tensor) -> FreshSurprisal:
    """Average the surprisal of one text over its fresh tokens.

    Args:
        surprisals: Nats per token, [n], as `surprisal` gives them.
        fresh: Which tokens count, [n], as `fresh_tokens` gives them.

    Raises:
        ValueError: for shapes that differ, NaN or infinity.

    >>> fresh_surprisal(torch.tensor([2.0, 4.0, 9.0]), torch.tensor([True, True, False])).mean
    3.0
    """
    x = values(surprisals, "surprisals")
    if x.shape != fresh.shape:
        raise ValueError(f"fresh: expected shape {list(x.shape)}, found {list(fresh.shape)}")
    chosen = x[fresh.cpu()]
    mean = float(chosen.mean()) if len(chosen) else None
    return FreshSurprisal(mean, len(chosen), x.numel())


def shocking_threshold(human: Array, share: float = 0.01) -> float:
    """Return the surprisal that only `share` of the tokens of a human text exceed, in nats.

    Args:
        human: Surprisals of the human text under the same reference, any shape.
        share: In (0, 1).

    Raises:
        ValueError: for a share outside (0, 1), no numbers, NaN or infinity.

    >>> shocking_threshold(torch.arange(101.0), share=0.1)
    90.0
    """
    if not 0 < share < 1:
        raise ValueError(f"share: expected a number in (0, 1), found {share}")
    return float(torch.quantile(values(human, "human").flatten(), 1 - share))


def shocking_share(surprisals: Array, threshold: float) -> float:
    """Return the share of tokens that are more surprising than a threshold, in [0, 1].

    Args:
        surprisals: Nats per token, any shape.
        threshold: As `shocking_threshold` gives it.

    Raises:
        ValueError: for no numbers, NaN or infinity.

    >>> shocking_share(torch.tensor([1.0, 2.0, 12.0, 3.0]), threshold=9.0)
    0.25
    """
    return float((values(surprisals, "surprisals") > threshold).double().mean())
