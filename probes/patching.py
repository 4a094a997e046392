"""Effects of a causal patch, and random changes of the same size to compare it with."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Generator, Tensor

from probes._foreign import Array, Ids, check_finite, real, same_shape, token_column, values, widen
from probes.counter import CounterNormal
from probes.devices import home
from probes.ranks.tokens import top1_rows
from probes.slices import row_slices


@dataclass(frozen=True)
class Recovered:
    """Recovered fractions.

    Attributes:
        fraction: (patched - recipient) / (donor - recipient); 0 where not `defined`.
        defined: Where donor and recipient differ enough for the fraction to have a meaning.
        pooled: Sum of (patched - recipient) over sum of (donor - recipient), over the defined
            entries: it weighs each by its gap, so a small gap cannot blow it up. None where the
            gaps sum to 0 or nothing is defined.
    """

    fraction: Float[Tensor, "*entries"]
    defined: Bool[Tensor, "*entries"]
    pooled: float | None


def recovered_fraction(
    patched: float | Array,
    recipient: float | Array,
    donor: float | Array,
    minimum_gap: float = 0.0,
) -> Recovered:
    """Share of the way from recipient to donor that a patch went: 0 is none, 1 is all of it.

    Not bounded: below 0 the patch led away, above 1 beyond the donor. Where |donor - recipient| is
    `minimum_gap` or less there is nothing to recover: such entries are False in `defined` and hold
    0, never NaN.

    Args:
        patched: A number, or any shape [...].
        recipient: The same shape.
        donor: The same shape.
        minimum_gap: In the unit of the quantity.

    Returns:
        A `Recovered` in float64 on the CPU.

    Raises:
        ValueError: for shapes that differ, an empty input, NaN or infinity, or a negative
            `minimum_gap`.

    Source: the normalised metric of activation patching, Zhang and Nanda 2023, arXiv:2309.16042;
    `pooled` is ours.

    >>> found = recovered_fraction(
    ...     torch.tensor([2.0, 5.0]), torch.tensor([1.0, 5.0]), torch.tensor([3.0, 5.0])
    ... )
    >>> found.fraction.tolist(), found.defined.tolist()
    ([0.5, 0.0], [True, False])
    """
    got = values(patched, "patched")
    start, end = values(recipient, "recipient"), values(donor, "donor")
    same_shape(got, start, "patched", "recipient")
    same_shape(got, end, "patched", "donor")
    if not minimum_gap >= 0:
        raise ValueError(f"minimum_gap: expected 0 or more, found {minimum_gap}")
    gap, moved = end - start, got - start
    defined = gap.abs() > minimum_gap
    fraction = torch.where(defined, moved / torch.where(defined, gap, 1.0), 0.0)
    whole = float(gap[defined].sum())
    pooled = float(moved[defined].sum()) / whole if whole != 0 else None
    return Recovered(fraction, defined, pooled)


def logit_difference(
    logits: Array, a_tokens: Ids | int, b_tokens: Ids | int
) -> Float[Tensor, "*contexts"]:
    """Logit of token a minus logit of token b per context, in nats (their log odds).

    Args:
        logits: Shape [... v].
        a_tokens: Token ids of shape [...].
        b_tokens: The same shape.

    Returns:
        Float64 of shape [...].

    Raises:
        ValueError: for shapes that do not fit, ids outside [0, v), NaN or infinity at those ids.

    >>> logit_difference(torch.tensor([[1.0, 4.0]]), [1], [0])
    tensor([3.], dtype=torch.float64)
    """
    x = real(logits, "logits")
    flat = x.reshape(-1, x.shape[-1])
    at = [token_column(a_tokens, x, "a_tokens"), token_column(b_tokens, x, "b_tokens")]
    pair = widen(flat.gather(-1, torch.cat(at, -1)), "logits")
    return (pair[:, 0] - pair[:, 1]).reshape(x.shape[:-1])


def top1_agreement(a_logits: Array, b_logits: Array) -> Bool[Tensor, "*contexts"]:
    """Mark the contexts where two models make the same greedy choice (the lowest id of a tie).

    Its mean is the agreement rate; it is left per context so that callers can resample.

    Args:
        a_logits: Shape [... v].
        b_logits: The same shape.

    Returns:
        Bool of shape [...].

    Raises:
        ValueError: for shapes or devices that differ, an empty input, NaN or infinity.

    >>> top1_agreement(torch.tensor([[1.0, 4.0]]), torch.tensor([[0.0, 9.0]]))
    tensor([True])
    """
    a, b = real(a_logits, "a_logits"), real(b_logits, "b_logits")
    same_shape(a, b, "a_logits", "b_logits")
    lead, a, b = a.shape[:-1], a.reshape(-1, a.shape[-1]), b.reshape(-1, b.shape[-1])
    parts: list[Tensor] = []
    for rows in row_slices(*a.shape, device=a.device):
        check_finite(a[rows], "a_logits")
        check_finite(b[rows], "b_logits")
        parts.append(top1_rows(a[rows]) == top1_rows(b[rows]))
    return torch.cat(parts).reshape(lead)


def _gaussian(
    shape: torch.Size | tuple[int, ...], generator: Generator | CounterNormal, device: torch.device
) -> Tensor:
    """Standard normals: float32 on `device` from a counter, else float64 on the CPU."""
    if isinstance(generator, CounterNormal):
        return generator.draw(shape, device)
    draw = torch.randn(shape, generator=generator, device=generator.device, dtype=torch.float64)
    return draw.cpu()


def norm_matched_noise(
    delta: Array, generator: Generator | CounterNormal
) -> Shaped[Tensor, "*shape"]:
    """A Gaussian of the Frobenius norm of `delta`: the null of "any change of this size".

    One seed gives one noise whatever the device of `delta`: a counter draws in float32 where
    `delta` is, a generator of torch in float64 on its own device. The norm is equal up to the
    rounding of delta's dtype; zero for a zero `delta`.

    Args:
        delta: A change of weights or activations, any shape and float dtype.
        generator: Source of randomness; advanced.

    Returns:
        A tensor of the shape, dtype and device of `delta`.

    Raises:
        ValueError: for an empty or non-float input, NaN or infinity.

    Source: ours, by definition: a standard Gaussian, scaled to the norm.

    >>> noise = norm_matched_noise(torch.ones(3, 3), torch.Generator().manual_seed(0))
    >>> round(float(noise.norm()), 4)
    3.0
    """
    x = real(delta, "delta", axes="[...]")
    noise = _gaussian(x.shape, generator, x.device)
    size = torch.linalg.vector_norm(widen(x, "delta"))
    drawn = torch.linalg.vector_norm(home(noise), dtype=torch.float64)
    factor = (size.to(drawn.device) / drawn).to(noise.device, noise.dtype)
    return (noise * factor).to(x.device, x.dtype)


def _random_frame(
    rows: int, columns: int, generator: Generator | CounterNormal
) -> Float[Tensor, "rows columns"]:
    """Orthonormal columns, uniform over all such frames (Haar; Mezzadri 2007)."""
    q, r = torch.linalg.qr(_gaussian((rows, columns), generator, torch.device("cpu")).double())
    return q * torch.where(r.diagonal() < 0, -1.0, 1.0)


def spectrum_matched_noise(
    delta: Array, generator: Generator | CounterNormal
) -> Shaped[Tensor, "*shape"]:
    """A matrix with the singular values of `delta` and random singular vectors.

    A stricter null than `norm_matched_noise`: a low-rank change stays low-rank. A vector has one
    singular value, its norm, and falls back to `norm_matched_noise`.

    Args:
        delta: A change of weights, [m n] or [n], any float dtype.
        generator: Source of randomness; advanced.

    Returns:
        A tensor of the shape, dtype and device of `delta`.

    Raises:
        ValueError: for three axes or more, an empty or non-float input, NaN or infinity.

    Source: ours; the random singular vectors are drawn as in Mezzadri 2007,
    arXiv:math-ph/0609050.
    """
    x = real(delta, "delta", axes="[m n] or [n]")
    if x.ndim == 1:
        return norm_matched_noise(x, generator)
    if x.ndim != 2:
        raise ValueError(f"delta: expected shape [m n] or [n], found {list(x.shape)}")
    spectrum = torch.linalg.svdvals(widen(x, "delta")).cpu()
    left = _random_frame(x.shape[0], len(spectrum), generator)
    right = _random_frame(x.shape[1], len(spectrum), generator)
    return ((left * spectrum) @ right.mT).to(x.device, x.dtype)
