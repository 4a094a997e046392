"""Entropy, Kullback-Leibler and Jensen-Shannon divergence of softmax distributions, in nats."""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from probes._foreign import Array, real, same_shape, widen
from probes.slices import row_slices


def slope_rows(
    logits: Float[Tensor, "n v"], temperature: Float[Tensor, "#n"]
) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
    """Entropy H of softmax(logits / T) per row, and dH / d log T.

    With u = (l - max l) / T both terms of H = log sum exp u - E[u] are non-negative, so nothing
    cancels; dH/dT = Var_p(l) / T^3, hence dH / d log T = Var_p(u).
    """
    shifted = (logits - logits.amax(-1, keepdim=True)) / temperature[:, None]
    weights = shifted.exp()
    total = weights.sum(-1)
    mean = torch.einsum("nv,nv->n", weights, shifted) / total
    variance = torch.einsum("nv,nv->n", weights.mul_(shifted), shifted) / total - mean.square()
    return total.log() - mean, variance.clamp_min(0.0)


def _entropy_rows(logits: Float[Tensor, "n v"]) -> Float[Tensor, " n"]:
    shifted = logits - logits.amax(-1, keepdim=True)
    weights = shifted.exp()
    total = weights.sum(-1)
    return total.log() - torch.einsum("nv,nv->n", weights, shifted) / total


def entropy(logits: Array) -> Float[Tensor, "*contexts"]:
    """Shannon entropy of softmax(logits) per context, in [0, log v] nats.

    Args:
        logits: Shape [... v], any float dtype; computed in float64, some rows at a time.

    Returns:
        Float64 of shape [...].

    Raises:
        ValueError: for an empty or non-float input, NaN or infinity.

    >>> entropy(torch.zeros(2, 8)).exp()
    tensor([8.0000, 8.0000], dtype=torch.float64)
    """
    x = real(logits, "logits")
    flat = x.reshape(-1, x.shape[-1])
    parts = [
        _entropy_rows(widen(flat[rows], "logits"))
        for rows in row_slices(*flat.shape, device=flat.device)
    ]
    return torch.cat(parts).reshape(x.shape[:-1])


def entropy_and_slope(
    logits: Array, temperature: float
) -> tuple[Float[Tensor, "*contexts"], Float[Tensor, "*contexts"]]:
    """Entropy H of softmax(logits / T) per context in nats, and its slope dH / d log T.

    Args:
        logits: Shape [... v], any float dtype; computed in float64, some rows at a time.
        temperature: One T > 0 for all contexts.

    Returns:
        H and the slope, float64 of shape [...].

    Raises:
        ValueError: for T that is not above 0, an empty or non-float input, NaN or infinity.

    >>> at, slope = entropy_and_slope(torch.zeros(2, 8), 0.5)
    >>> at.exp(), slope
    (tensor([8.0000, 8.0000], dtype=torch.float64), tensor([0., 0.], dtype=torch.float64))
    """
    if not 0 < temperature < math.inf:
        raise ValueError(f"temperature: expected a value above 0, found {temperature}")
    x = real(logits, "logits")
    flat = x.reshape(-1, x.shape[-1])
    found: list[tuple[Tensor, Tensor]] = []
    for rows in row_slices(*flat.shape, device=flat.device):
        wide = widen(flat[rows], "logits")
        found.append(slope_rows(wide, wide.new_full((1,), temperature)))
    values, slopes = zip(*found, strict=True)
    return torch.cat(values).reshape(x.shape[:-1]), torch.cat(slopes).reshape(x.shape[:-1])


def _kl_rows(log_p: Float[Tensor, "n v"], log_q: Float[Tensor, "n v"]) -> Float[Tensor, " n"]:
    return torch.einsum("nv,nv->n", log_p.exp(), log_p - log_q).clamp_min(0.0)


def _js_rows(log_p: Float[Tensor, "n v"], log_q: Float[Tensor, "n v"]) -> Float[Tensor, " n"]:
    # log(m / p) = max(r, 0) + log(1 + exp(-|r|)) - log 2 with r = log(q / p), and -r for q.
    ratio = log_q - log_p
    tail = ratio.abs().neg_().exp_().log1p_().sub_(math.log(2.0))
    from_p = torch.einsum("nv,nv->n", log_p.exp(), tail + ratio.clamp_min(0.0))
    from_q = torch.einsum("nv,nv->n", log_q.exp(), tail - ratio.clamp_max(0.0))
    return (-0.5 * (from_p + from_q)).clamp(0.0, math.log(2.0))


def _paired(
    logits_p: Array, logits_q: Array, rows_of: Callable[[Tensor, Tensor], Tensor]
) -> Tensor:
    p, q = real(logits_p, "logits_p"), real(logits_q, "logits_q")
    same_shape(p, q, "logits_p", "logits_q")
    p_flat, q_flat = p.reshape(-1, p.shape[-1]), q.reshape(-1, q.shape[-1])
    parts = [
        rows_of(
            torch.log_softmax(widen(p_flat[rows], "logits_p"), -1),
            torch.log_softmax(widen(q_flat[rows], "logits_q"), -1),
        )
        for rows in row_slices(*p_flat.shape, device=p_flat.device)
    ]
    return torch.cat(parts).reshape(p.shape[:-1])


def kl_divergence(logits_p: Array, logits_q: Array) -> Float[Tensor, "*contexts"]:
    """KL(p || q) = sum_i p_i log(p_i / q_i) of two softmax distributions per context, in nats.

    In [0, inf); 0 exactly where the logits are identical. Absolute accuracy about 1e-14.

    Args:
        logits_p: Shape [... v]; p = softmax(logits_p), the distribution that weighs.
        logits_q: The same shape.

    Returns:
        Float64 of shape [...].

    Raises:
        ValueError: for shapes or devices that differ, an empty input, NaN or infinity.

    >>> kl_divergence(torch.tensor([[0.0, 0.0]]), torch.tensor([[0.0, 0.0]]))
    tensor([0.], dtype=torch.float64)
    """
    return _paired(logits_p, logits_q, _kl_rows)


def js_divergence(logits_p: Array, logits_q: Array) -> Float[Tensor, "*contexts"]:
    """Jensen-Shannon divergence of two softmax distributions per context, in [0, log 2] nats.

    (KL(p || m) + KL(q || m)) / 2 with m = (p + q) / 2: symmetric, and its root is a metric
    (Lin 1991; Endres and Schindelin 2003). scipy's `jensenshannon` is that root.

    Args:
        logits_p: Shape [... v].
        logits_q: The same shape.

    Returns:
        Float64 of shape [...].

    Raises:
        ValueError: for shapes or devices that differ, an empty input, NaN or infinity.
    """
    return _paired(logits_p, logits_q, _js_rows)
