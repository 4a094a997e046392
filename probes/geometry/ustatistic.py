"""Products over distinct prompts: the algebra behind the corrected participation ratio.

Private. A prompt g gives n_g rows with sum s_g and second moment M_g about one reference point.
Under E s_g = n_g m and E M_g = n_g (Sigma + m m^T), with prompts independent of one another,

    tr Sigma^2   = <A, A> - 2 m^T A m + |m|^4,    A = Sigma + m m^T,
    (tr Sigma)^2 = (tr A)^2 - 2 (tr A) |m|^2 + |m|^4,

and each term is estimated without bias by a sum over *distinct* prompts only, divided by the same
sum over the n_g. So neither the noise of one prompt nor that of the estimated mean is squared.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor


@dataclass(frozen=True, eq=False)
class PromptSums:
    """Sums over prompts about a common reference, with M the sum of all M_g and s of all s_g.

    The fields from `frobenius` on are scalars for the full sample, or [G] for the samples that
    leave one prompt out.
    """

    n: Float64[Tensor, " g"]
    traces: Float64[Tensor, " g"]
    """tr M_g."""
    gram: Float64[Tensor, "g g"]
    """s_g . s_h."""
    frobenius: Float64[Tensor, "*loo"]
    """|M|^2."""
    own: Float64[Tensor, "*loo"]
    """Sum of |M_g|^2."""
    mean_term: Float64[Tensor, "*loo"]
    """Sum over distinct g, h, k of s_h^T M_g s_k."""


def corrected_parts(sums: PromptSums) -> tuple[Tensor, Tensor]:
    """Unbiased (tr Sigma)^2 and tr Sigma^2: scalars, or [G] if `sums` leave one prompt out."""
    left_out = sums.frobenius.ndim == 1
    keep = 1 - torch.eye(len(sums.n), dtype=torch.float64, device=sums.n.device)
    cross = sums.gram * keep
    row = cross.sum(1)
    # One column per sample; with one prompt left out, its own row and its share of the others go.
    rows = (row[:, None] - cross) * keep if left_out else row[:, None]
    present = keep if left_out else torch.ones_like(row)[:, None]
    squares = cross.square()
    square_sum = squares.sum() - (2 * squares.sum(1) if left_out else 0)

    p1, p2, p3, p4 = ((sums.n**k) @ present for k in (1, 2, 3, 4))
    pairs = p1**2 - p2
    triples = p1**3 - 3 * p1 * p2 + 2 * p3
    fours = p1**4 - 6 * p1**2 * p2 + 3 * p2**2 + 8 * p1 * p3 - 6 * p4
    mean_4 = (rows.sum(0).square() - 4 * rows.square().sum(0) + 2 * square_sum) / fours

    trace = sums.traces @ present
    trace_2 = (trace.square() - sums.traces.square() @ present) / pairs
    trace_mean = (trace * rows.sum(0) - 2 * sums.traces @ rows) / triples
    numerator = trace_2 - 2 * trace_mean + mean_4
    denominator = (sums.frobenius - sums.own) / pairs - 2 * sums.mean_term / triples + mean_4
    if left_out:
        return numerator, denominator
    return numerator.squeeze(), denominator.squeeze()


def drawn_apart(top: Tensor, bottom: Tensor) -> bool:
    """Return whether both parts are clear of zero everywhere, so that their ratio is defined."""
    return bool((top > 0).all() and (bottom > 1e-12 * top).all())
